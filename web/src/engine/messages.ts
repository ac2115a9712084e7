/** Messages between the page and its worker. Both are built together, so types are enough here. */

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

/** All that the page knows about an open job besides its rows. */
export interface JobFacts {
  readonly job: string;
  readonly record: JobRecord | null;
  /** The greatest sequence known to exist. */
  readonly tip: number;
  /** Entries that are loaded. */
  readonly received: number;
  readonly first: number | null;
  readonly last: number | null;
  /** All entries from here to `last` are loaded. */
  readonly tail: number | null;
  /** All entries written at this time (µs) or later are loaded, as far as clocks tell. */
  readonly since: number;
  /** Ranges that are wanted and not loaded. */
  readonly holes: readonly SequenceRange[];
  readonly gone: number;
  /** Batches that arrived again and were ignored. */
  readonly repeats: number;
  /** The current connection has answered the subscription. */
  readonly subscribed: boolean;
  /** The tip is known and all wanted entries are loaded. */
  readonly caughtUp: boolean;
  readonly problem: Problem | null;
  /** Loaded bytes: compressed, and raw. */
  readonly bytes: number;
  readonly raw: number;
  /** When the last live entry arrived: milliseconds since 1970 by this machine's clock. */
  readonly arrived: number | null;
  /** Entries, and lines of level error or above, that arrived live since the job was opened. */
  readonly live: number;
  readonly liveErrors: number;
  /** Grows whenever rows may be drawn differently. */
  readonly revision: number;
}

/** Plain lines, or one JSON object a line as `logferry export` writes it. */
export type SaveFormat = "text" | "jsonl";

/** What to export: the lines of first..last that match a query. */
export interface ExportRequest {
  readonly first: number;
  readonly last: number;
  /** Lines were selected by their first entry: export each whole, even if it continues after `last`. */
  readonly marked: boolean;
  /** Null exports all lines. */
  readonly query: Query | null;
  readonly format: SaveFormat;
  readonly time: TimeMode;
  /** Origin of relative times, µs. */
  readonly base: number;
}

/** What to export of several jobs as one file. */
export interface MergedExportRequest {
  /** Null exports all lines. */
  readonly marks: MarkedRange | null;
  readonly query: Query | null;
  /** Null omits the names. */
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
  /** Return the indexes of lines in the merged list, or where they would be. */
  | { do: "locate"; lines: Pick<LinePositions, "sequences" | "times" | "sources"> }
  /**
   * Fetch the lines around a line, and what other jobs wrote at its time. Returns the time that orders the line among
   * the merged jobs, µs, or null when it cannot be fetched.
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

export type WorkerMessage =
  | { tell: "answer"; id: number; value: unknown }
  | { tell: "failed"; id: number; message: string }
  | { tell: "connection"; state: ConnectionState; opened: number }
  | { tell: "jobs"; changed: JobRecord[]; removed: string[]; loaded: boolean; problem: Problem | null }
  | { tell: "job"; facts: JobFacts }
  /** Entries that an export has processed, and in total. */
  | { tell: "exportProgress"; id: number; done: number; of: number }
  /** `changed` is the first index of the merged list that changed, `last` its last line. */
  | { tell: "merged"; total: number; revision: number; changed: number; last: LinePosition };
