/** Between the page and the worker that searches on the service. */
import type { Query } from "../index/segment";
import type { ServerQuery } from "./re2";

export interface Task {
  readonly id: number;
  readonly api: string;
  readonly token: string;
  readonly job: string;
  readonly query: Query;
  readonly asked: ServerQuery;
  /** Searched from the last sequence to the first. */
  readonly first: number;
  readonly last: number;
}

export type ToSearcher = { do: "search"; task: Task } | { do: "stop" };

export type FromSearcher =
  /** Matches are being looked at again, which an expression may make endless: "found" must follow soon. */
  | { tell: "checking"; id: number }
  /** `covered` lines are searched, counted from the last. */
  | { tell: "found"; id: number; sequences: Float64Array; covered: number }
  | { tell: "done"; id: number; full: boolean }
  | { tell: "failed"; id: number; status: number; message: string };
