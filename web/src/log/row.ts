/** What the pane draws: plain data, built in the worker so that it can be posted. */
import type { EventKind } from "../text/events";
import type { Level } from "../text/levelNames";
import type { StyledText } from "../text/terminal";
import { MAX_TRACE_LINES, type TraceRole } from "../text/trace";

/** How many later entries may change how a row is drawn: a trace's head counts its frames. */
export const ROW_LOOKAHEAD = 2 * MAX_TRACE_LINES;

export type StreamName = "stdout" | "stderr" | "system";

export interface MissingLines {
  readonly side: "before" | "after";
  readonly count: number;
}

interface RowBase {
  /** Index in the list, from 0. */
  readonly index: number;
  readonly sequence: number;
  /** Which of several merged jobs it belongs to. */
  readonly source?: number;
  /**
   * The time that orders it among several jobs, µs: its own, or a later one of its batch where the clock stepped back.
   */
  readonly at?: number;
  /** Lines of the same job next to it that are not loaded: they are fetched when a reader looks at it. */
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
  /** Last sequence of the row: greater than `sequence` if continuations were joined. */
  readonly last: number;
  /** Its beginning is not loaded. */
  readonly headless: boolean;
  /** Its role in a stack trace. */
  readonly trace: TraceRole | null;
  /** Frames that follow a trace's head, 200 at most. */
  readonly frames: number;
  /** Lines of a merged entry; otherwise 1. */
  readonly lines: number;
  /** Set for a line that is too long to draw whole. */
  readonly cut?: Cut;
}

/** How much of a line is drawn, and how long it is as far as it is loaded. */
export interface Cut {
  readonly shown: number;
  readonly of: number;
  readonly unit: "characters" | "lines";
  /** It may continue in entries that are not loaded yet. */
  readonly open: boolean;
}

export interface EventRow extends RowBase {
  readonly kind: "event";
  readonly time: number;
  readonly event: EventKind;
  readonly sentence: string;
  readonly bad: boolean;
}

/** Sequences that are not loaded: requested, or deleted by age. One row may stand for many. */
export interface AbsentRow extends RowBase {
  readonly kind: "loading" | "gone" | "unreadable";
  readonly count: number;
}

export type Row = LineRow | EventRow | AbsentRow;

export interface RowWindow {
  /** Indexes from..to (exclusive) are covered; an index without a row belongs to the row before it. */
  readonly from: number;
  readonly to: number;
  readonly total: number;
  readonly rows: readonly Row[];
}

export function textOf(row: Row): string {
  if (row.kind === "line") return row.spans.map((span) => span.text).join("");
  return row.kind === "event" ? row.sentence : "";
}
