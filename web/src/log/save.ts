/** A job's lines as a file: what the tab holds of it, or what a filter left. */
import type { SaveFormat } from "../engine/messages";
import { describeEvent } from "../text/events";
import { plain } from "../text/terminal";
import { fullTime, type TimeMode } from "../text/time";
import type { Store, Unpacked } from "./store";

/** `sequences` null means all. Text joins continuations and leaves escape sequences out; JSON lines have every entry as it is stored. */
export function saved(job: string, store: Store, sequences: Float64Array | null, format: SaveFormat, time: TimeMode): Blob {
  const parts: string[] = [];
  const wanted = sequences === null ? null : new Set(sequences);
  for (const batch of store.all) {
    const here = store.unpack(batch);
    const lines: string[] = [];
    for (let offset = 0; offset < here.columns.texts.length; offset++) {
      if (wanted !== null && !wanted.has(batch.first + offset)) continue;
      const line = format === "jsonl" ? jsonOf(job, here, offset) : textOf(store, here, offset, time);
      if (line !== null) lines.push(line);
    }
    if (lines.length > 0) parts.push(`${lines.join("\n")}\n`);
  }
  return new Blob(parts, { type: format === "jsonl" ? "application/x-ndjson" : "text/plain;charset=utf-8" });
}

function textOf(store: Store, here: Unpacked, offset: number, time: TimeMode): string | null {
  const sequence = here.batch.first + offset;
  const stream = here.columns.streams[offset] as string;
  const when = time === "hidden" ? "" : `${fullTime(here.columns.times[offset] as number, time)} `;
  if (stream === "s") return `${when}-- ${describeEvent(here.columns.texts[offset] as string).sentence} --`;
  if ((stream === "O" || stream === "E") && store.joins(sequence, stream)) return null;
  return when + plain(store.line(sequence, Number.POSITIVE_INFINITY).text);
}

function jsonOf(job: string, { batch, columns }: Unpacked, offset: number): string {
  const us = columns.times[offset] as number;
  const ms = new Date(Math.floor(us / 1000)).toISOString().slice(0, -1);
  const stream = columns.streams[offset] as string;
  return JSON.stringify({
    jobId: job,
    timestamp: `${ms}${String(us % 1000).padStart(3, "0")}Z`,
    stream: stream === "s" ? "system" : stream.toLowerCase() === "e" ? "stderr" : "stdout",
    line: columns.texts[offset],
    sequence: batch.first + offset,
  });
}
