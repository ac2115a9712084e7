/** The HTTP API's search within a job, and its lookup of the sequence for a time. */
import type { Api } from "../wire/api";
import { flag, list, nullable, type Of, object, oneOf, text, wholeNumber } from "../wire/shape";
import type { ServerQuery } from "./re2";

/**
 * `line` is the sequence where the line begins, and `cut` says that the text is a part of it; services before 0.2 send
 * neither.
 */
const match = object({
  sequence: wholeNumber(1),
  line: nullable(wholeNumber(1)),
  time: wholeNumber(),
  stream: oneOf("stdout", "stderr", "system"),
  text,
  cut: nullable(flag),
});
export type Match = Of<typeof match>;
/**
 * `next` is the sequence after which to continue, null at the end; `since` the time of the first searched entry, µs;
 * `unsearched` lists lines that were not searched whole.
 */
const page = object({
  matches: list(match),
  next: nullable(wholeNumber()),
  since: nullable(wholeNumber()),
  unsearched: nullable(list(wholeNumber())),
});
export type SearchPage = Of<typeof page>;
const atAnswer = object({ sequence: wholeNumber() });

/** Return matches between two sequences, both exclusive, ascending. */
export function searchJob(
  api: Api,
  job: string,
  { q, ignoreCase }: ServerQuery,
  after: number,
  before: number,
  signal: AbortSignal,
): Promise<SearchPage> {
  const query = new URLSearchParams({
    q,
    regex: "1",
    ignore_case: ignoreCase ? "1" : "0",
    after: String(after),
    before: String(before),
    limit: "1000",
  });
  return api.get(`/jobs/${encodeURIComponent(job)}/search?${query}`, page, signal);
}

/** Return the first sequence at a time (µs) or later; one past the last when all are earlier. */
export async function sequenceAt(api: Api, job: string, time: number): Promise<number> {
  return (await api.get(`/jobs/${encodeURIComponent(job)}/at?time=${Math.max(0, Math.floor(time))}`, atAnswer))
    .sequence;
}
