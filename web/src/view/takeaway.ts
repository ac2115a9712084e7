/** Taking a job's lines out of the page: into the clipboard, into a file. */
import type { Engine } from "../engine/client";
import type { SaveFormat } from "../engine/messages";
import { type Row, textOf, type Window } from "../log/row";
import { fullTime, type TimeMode } from "../text/time";

/** Rows asked for at once: many enough to be quick, few enough that the page goes on. */
const PORTION = 5_000;

type Rows = (from: number, count: number) => Promise<Window>;

/** Texts of the places first..last of a list. */
export async function textsOf(rows: Rows, first: number, last: number): Promise<string[]> {
  const lines: string[] = [];
  for await (const row of rowsBetween(rows, first, last)) lines.push(textOf(row));
  return lines;
}

/** Puts the lines of places first..last into the clipboard, with their times unless `mode` is null; how many they were. */
export async function copyLines(rows: Rows, first: number, last: number, mode: TimeMode | null): Promise<number> {
  const lines: string[] = [];
  for await (const row of rowsBetween(rows, first, last)) {
    if ("time" in row) lines.push(mode === null ? textOf(row) : `${fullTime(row.time, mode)} ${textOf(row)}`);
  }
  await navigator.clipboard.writeText(lines.join("\n"));
  return lines.length;
}

async function* rowsBetween(rows: Rows, first: number, last: number): AsyncGenerator<Row> {
  for (let from = first; from <= last; from += PORTION) {
    yield* (await rows(from, Math.min(PORTION, last - from + 1))).rows;
  }
}

/** Downloads what the tab holds of a job, or of it the given sequences. */
export async function download(
  engine: Engine,
  job: string,
  { name, sequences, format, time }: { name: string; sequences: Float64Array | null; format: SaveFormat; time: TimeMode },
): Promise<void> {
  const blob = await engine.ask({ do: "save", job, sequences: sequences === null ? null : sequences.slice(), format, time });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\w.-]+/g, "_")}.${format === "jsonl" ? "jsonl" : "log"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
