/** The HTTP API's search within a job, and its way from a time to a sequence. */
import type { Api } from "../wire/api";
import { flag, list, maybe, type Of, object, oneOf, text, whole } from "../wire/shape";
import type { ServerQuery } from "./re2";

/** `line` is where the line begins, and `cut` says that its text is a part of it; services before 0.2 know neither. */
const match = object({
  sequence: whole(1),
  line: maybe(whole(1)),
  time: whole(),
  stream: oneOf("stdout", "stderr", "system"),
  text,
  cut: maybe(flag),
});
export type Match = Of<typeof match>;
/** `next` is the sequence after which to go on, null at the end; `since` the time of the first entry that was looked at, µs; `unsearched` lines that were not searched whole. */
const page = object({
  matches: list(match),
  next: maybe(whole()),
  since: maybe(whole()),
  unsearched: maybe(list(whole())),
});
export type SearchPage = Of<typeof page>;
const atAnswer = object({ sequence: whole() });

/** Matches between two sequences, both excluded, ascending. */
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

/** The first sequence at a time (µs) or later; one past the last when all are earlier. */
export async function sequenceAt(api: Api, job: string, time: number): Promise<number> {
  return (await api.get(`/jobs/${encodeURIComponent(job)}/at?time=${Math.max(0, Math.floor(time))}`, atAnswer))
    .sequence;
}
