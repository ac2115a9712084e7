/** Messages between the page and the worker that tests expressions. */
import type { Query } from "../index/query";

export interface TrialRequest {
  readonly query: Query;
  readonly texts: readonly string[];
  /** Where it matches in each text, or whether it does. */
  readonly what: "ranges" | "test";
}

/** "alive" at the start and during the work. */
export type TrialAnswer = "alive" | readonly (readonly number[])[] | readonly boolean[];
