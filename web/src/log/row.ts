/** What the pane draws: plain data, made in the worker, so that it can be posted. */
import type { EventKind } from "../text/events";
import type { Level } from "../text/levelNames";
import type { StyledText } from "../text/terminal";
import { MOST_LINES, type TraceRole } from "../text/trace";

/** How many entries after a row's own may change how it reads: the frames of a trace are counted at its head. */
export const AHEAD = 2 * MOST_LINES;

export type StreamName = "stdout" | "stderr" | "system";

export interface MissingLines {
  readonly side: "before" | "after";
  readonly count: number;
}

interface RowBase {
  /** Place in the view, from 0. */
  readonly index: number;
  readonly sequence: number;
  /** Which of several merged jobs it is of. */
  readonly source?: number;
  /** The time by which it stands among several jobs, µs: its own, or a later one of its batch where the clock stepped back. */
  readonly at?: number;
  /** Lines of the same job next to it that are not here: they come when it is looked at. */
  readonly hole?: MissingLines;
}

export interface LineRow extends RowBase {
  readonly kind: "line";
  readonly stream: "stdout" | "stderr";
  /** Microseconds since 1970. */
  readonly time: number;
  readonly spans: readonly StyledText[];
  readonly level: Level;
  /** The whole line is a JSON object or array. */
  readonly json: boolean;
  /** Last sequence of the row: greater than `sequence` where continuation entries were joined. */
  readonly last: number;
  /** Its beginning is not here: shown for what it is. */
  readonly headless: boolean;
  /** Its part in a stack trace. */
  readonly trace: TraceRole | null;
  /** Of a trace's head: how many frames follow it, 200 at most. */
  readonly frames: number;
  /** Lines of a merged entry; 1 for others. */
  readonly lines: number;
  /** Of a line that is too long to be drawn whole. */
  readonly cut?: Cut;
}

/** What of a line is drawn, and how long it is as far as it is here. */
export interface Cut {
  readonly shown: number;
  readonly of: number;
  readonly unit: "characters" | "lines";
  /** It may go on in what is not here yet. */
  readonly open: boolean;
}

export interface EventRow extends RowBase {
  readonly kind: "event";
  readonly time: number;
  readonly event: EventKind;
  readonly sentence: string;
  readonly bad: boolean;
}

/** Sequences that are not here: on their way, or deleted by age. One row may stand for many. */
export interface AbsentRow extends RowBase {
  readonly kind: "loading" | "gone" | "unreadable";
  readonly count: number;
}

export type Row = LineRow | EventRow | AbsentRow;

export interface RowWindow {
  /** Places from..to (exclusive) were looked at; those without a row are part of one before. */
  readonly from: number;
  readonly to: number;
  readonly total: number;
  readonly rows: readonly Row[];
}

export function textOf(row: Row): string {
  if (row.kind === "line") return row.spans.map((span) => span.text).join("");
  return row.kind === "event" ? row.sentence : "";
}
