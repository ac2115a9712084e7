/** Taking a job's lines out of the page: into the clipboard, into a file. */
import type { Progress } from "../engine/client";
import type { SaveFormat } from "../engine/messages";
import { type LineRow, type Row, type RowWindow, textOf } from "../log/row";
import type { SearchController } from "../search/searchController";
import type { TimeMode } from "../text/time";

/** All, what a query leaves, or what is marked. */
export type ExportScope = "all" | "filtered" | "picked";

/** A view whose lines can be written out, whether they are here or not. */
export interface Exportable {
  readonly find: Pick<SearchController, "query">;
  /** Entries of the whole. */
  readonly entries: number;
  /** What is marked, in words and in a file's name. */
  readonly marked: { readonly words: string; readonly file: string } | null;
  exportLines(
    what: ExportScope,
    format: SaveFormat,
    time: TimeMode,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Blob>;
}

/** Rows asked for at once: many enough to be quick, few enough that the page goes on. */
const PORTION = 5_000;

type Rows = (from: number, count: number) => Promise<RowWindow>;

/** Texts of the places first..last of a list; `whole` writes a line out that is too long to be drawn. */
export async function textsOf(
  rows: Rows,
  first: number,
  last: number,
  whole: (row: LineRow) => Promise<Blob>,
): Promise<string[]> {
  const lines: string[] = [];
  for await (const row of rowsBetween(rows, first, last))
    lines.push(isCut(row) ? (await (await whole(row)).text()).replace(/\n$/, "") : textOf(row));
  return lines;
}

export function isCut(row: Row): row is LineRow {
  return row.kind === "line" && row.cut !== undefined;
}

/** Text of a row that is drawn whole; null without one. */
export function drawnText(row: Row | undefined): string | null {
  return row === undefined || isCut(row) ? null : textOf(row);
}

/** What a button of a line that is cut asks for. */
export async function copyOrSaveLine(
  button: HTMLElement,
  row: Row,
  whole: (row: LineRow) => Promise<Blob>,
): Promise<void> {
  if (row.kind !== "line") return;
  if (button.dataset["whole"] === "copy") await copyText(whole(row));
  else saveAs(await whole(row), `line-${row.sequence}.txt`);
}

async function* rowsBetween(rows: Rows, first: number, last: number): AsyncGenerator<Row> {
  for (let from = first; from <= last; from += PORTION) {
    yield* (await rows(from, Math.min(PORTION, last - from + 1))).rows;
  }
}

/** Puts a text that is still being made into the clipboard: within the gesture that asked for it, the clipboard takes a promise. */
export async function copyText(coming: Promise<Blob>): Promise<void> {
  const text = coming.then(async (made) => new Blob([(await made.text()).replace(/\n$/, "")], { type: "text/plain" }));
  await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
}

export function saveAs(blob: Blob, file: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
