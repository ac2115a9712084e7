/** Messages between page, store and indexer. */

import type { FoundLines } from "./linePositions";
import type { Query } from "./query";

export interface IndexedBatch {
  readonly first: number;
  readonly count: number;
  readonly body: Uint8Array;
}

export type ToIndexer =
  | { do: "feed"; port: MessagePort }
  /** A null query ends the search. */
  | { do: "search"; job: string; id: number; query: Query | null }
  /** Report the job's lines with their times, because several jobs are searched. */
  | { do: "timed"; job: string }
  | { do: "time"; job: string; id: number; time: number }
  | { do: "forget"; job: string }
  /** Answered with `alive`. */
  | { do: "hear" };

export type FromIndexer =
  /** With the job that the indexer works on, if any. */
  | { tell: "alive"; job: string | null }
  | { tell: "hits"; job: string; id: number; found: FoundLines; lines: number; ms: number }
  | { tell: "errors"; job: string; found: FoundLines; lines: number }
  | { tell: "time"; id: number; sequence: number | null }
  | { tell: "wrong"; job: string; id: number; message: string };
