/** Messages between the page and the worker that searches on the service. */

import type { FoundLines } from "../index/linePositions";
import type { Query } from "../index/query";

export interface Task {
  readonly id: number;
  readonly api: string;
  readonly token: string;
  readonly job: string;
  readonly query: Query;
  /** Searched from the last sequence to the first. */
  readonly first: number;
  readonly last: number;
}

export type ToSearcher = { do: "search"; task: Task } | { do: "stop"; id: number };

export type FromSearcher =
  /** The service cannot run this query, and why. */
  | { tell: "alone"; id: number; reason: string }
  /** Matches are being checked, which an expression may make endless: "found" must follow soon. */
  | { tell: "checking"; id: number }
  /**
   * `covered` lines are searched, counted from the last; `since` is the time of the first of them, µs, or null while it
   * is not known. `unsearched` lines were too long to be searched whole.
   */
  | { tell: "found"; id: number; found: FoundLines; covered: number; since: number | null; unsearched: number }
  | { tell: "done"; id: number; full: boolean }
  | { tell: "failed"; id: number; status: number; message: string };
