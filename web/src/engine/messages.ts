/** What the page and its worker say to each other. Both are ours, built together: types are enough here. */

import type { LinePositions } from "../index/linePositions";
import type { Query } from "../index/query";
import type { ConnectionState } from "../live/connection";
import type { SequenceRange } from "../live/sequenceRanges";
import type { MarkedRange } from "../log/markedRange";
import type { LinePosition } from "../log/mergeOrder";
import type { RowWindow } from "../log/row";
import type { TimeMode } from "../text/time";
import type { JobRecord } from "../wire/messages";

export interface Problem {
  /** HTTP status, or 0 when nothing answered. */
  readonly status: number;
  readonly message: string;
}

/** All that the page knows of an open job besides its rows. */
export interface JobFacts {
  readonly job: string;
  readonly record: JobRecord | null;
  /** Greatest sequence known to exist. */
  readonly tip: number;
  /** Entries here. */
  readonly received: number;
  readonly first: number | null;
  readonly last: number | null;
  /** Everything from here to `last` is here. */
  readonly tail: number | null;
  /** Everything that was written at this time (µs) or after it is here, as far as clocks tell. */
  readonly since: number;
  /** Wanted and not here. */
  readonly holes: readonly SequenceRange[];
  readonly gone: number;
  /** Batches that came again and were left out. */
  readonly repeats: number;
  /** Answered by `subscribed` on the present connection. */
  readonly subscribed: boolean;
  /** Everything up to the tip is known and what is wanted is here. */
  readonly caughtUp: boolean;
  readonly problem: Problem | null;
  /** Compressed and raw bytes here. */
  readonly bytes: number;
  readonly raw: number;
  /** When the last live entry arrived, ms since 1970 by this machine's clock. */
  readonly arrived: number | null;
  /** Entries and lines of level error or above that arrived live since the job was opened. */
  readonly live: number;
  readonly liveErrors: number;
  /** Grows whenever rows may read differently than before. */
  readonly revision: number;
}

/** Plain lines, or one JSON object a line as `logferry export` writes it. */
export type SaveFormat = "text" | "jsonl";

/** What is to be written out: the lines of first..last that a query leaves. */
export interface ExportRequest {
  readonly first: number;
  readonly last: number;
  /** Lines were chosen by where they begin: each is taken whole, though it goes on in entries after `last`. */
  readonly marked: boolean;
  /** Null takes all. */
  readonly query: Query | null;
  readonly format: SaveFormat;
  readonly time: TimeMode;
  /** What relative times count from, µs. */
  readonly base: number;
}

/** What is to be written out of several jobs as one. */
export interface MergedExportRequest {
  /** Null takes all. */
  readonly marks: MarkedRange | null;
  readonly query: Query | null;
  /** Null leaves them out. */
  readonly names: readonly string[] | null;
  readonly format: SaveFormat;
  readonly time: TimeMode;
}

export interface Entry {
  readonly sequence: number;
  /** Microseconds since 1970. */
  readonly time: number;
  /** o e O E s, as on the wire. */
  readonly stream: string;
  readonly text: string;
}

export type Request =
  | { do: "start"; api: string; live: string; token: string }
  | { do: "token"; token: string }
  | { do: "jobs"; on: boolean }
  | { do: "open"; job: string; at: number | null }
  | { do: "close"; job: string }
  | { do: "rows"; job: string; from: number; count: number }
  | { do: "entries"; job: string; first: number; last: number }
  | { do: "filteredRows"; job: string; from: number; sequences: readonly number[]; total: number }
  | { do: "export"; job: string; id: number; what: ExportRequest }
  | { do: "exportMerged"; id: number; what: MergedExportRequest }
  | { do: "cancelExport"; id: number }
  | { do: "merge"; jobs: readonly string[] }
  | { do: "mergedRows"; from: number; count: number }
  | { do: "filteredMergedRows"; from: number; lines: readonly LinePosition[]; total: number }
  /** Where lines are in the merged list, or would be. */
  | { do: "locate"; lines: Pick<LinePositions, "sequences" | "times" | "sources"> }
  /**
   * Fetches what is around a line, and what other jobs wrote at its time; the time by which it stands among merged jobs, µs, null when
   * it is not to be had.
   */
  | { do: "fetchAround"; job: string; sequence: number; others: readonly string[] }
  | { do: "mergedIndex"; source: number; sequence: number; at: number }
  | { do: "feed"; job: string; on: boolean }
  | { do: "indexer"; port: MessagePort }
  | { do: "loadAll"; job: string }
  | { do: "wake" }
  | { do: "cut" }
  | { do: "replace" };

export interface Answers {
  start: null;
  token: null;
  jobs: null;
  open: null;
  close: null;
  rows: RowWindow;
  entries: Entry[];
  filteredRows: RowWindow;
  export: Blob;
  exportMerged: Blob;
  cancelExport: null;
  merge: null;
  mergedRows: RowWindow;
  filteredMergedRows: RowWindow;
  locate: Float64Array;
  fetchAround: number | null;
  mergedIndex: number;
  feed: null;
  indexer: null;
  loadAll: null;
  wake: null;
  cut: null;
  replace: null;
}

export type Tell =
  | { tell: "answer"; id: number; value: unknown }
  | { tell: "failed"; id: number; message: string }
  | { tell: "connection"; state: ConnectionState; opened: number }
  | { tell: "jobs"; changed: JobRecord[]; removed: string[]; loaded: boolean; problem: Problem | null }
  | { tell: "job"; facts: JobFacts }
  /** How many entries a `take` has looked at, of how many. */
  | { tell: "exportProgress"; id: number; done: number; of: number }
  /** `changed` is the first place of the merged list that is not what it was, `last` the line at its end. */
  | { tell: "merged"; total: number; revision: number; changed: number; last: LinePosition };
