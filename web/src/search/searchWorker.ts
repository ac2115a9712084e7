/**
 * The worker that searches on the service. It is separate, so that an endless expression can be ended together with its
 * worker.
 */
import { Api, ApiError } from "../wire/api";
import { type RetryPolicy, retryDelay } from "../wire/retry";
import { searchJob } from "./api";
import type { FromSearcher, Task, ToSearcher } from "./messages";
import { matchChecker, RangePlanner } from "./rangePlanner";
import { serverQuery, unsupportedReason } from "./re2";

const page = self as unknown as {
  postMessage(message: FromSearcher, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToSearcher>) => void) | null;
};

const MAX_TRIES = 5;
const RETRY: RetryPolicy = { firstMs: 2_000, maxMs: 16_000 };
/**
 * Requests at a time, each for a stretch of one job: all jobs progress, and none uses more than its share of the
 * service.
 */
const MAX_REQUESTS = 4;

const tasks = new Map<number, AbortController>();
let free = MAX_REQUESTS;
const queue: (() => void)[] = [];

async function withSlot<T>(step: () => Promise<T>): Promise<T> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => queue.push(resolve));
  try {
    return await step();
  } finally {
    const next = queue.shift();
    if (next === undefined) free++;
    else next();
  }
}

async function search({ id, api: base, token, job, query, first, last }: Task, signal: AbortSignal): Promise<void> {
  const asked = serverQuery(query);
  if (asked === null) {
    page.postMessage({ tell: "alone", id, reason: unsupportedReason(query) });
    return;
  }
  const api = new Api(base, token);
  const matches = matchChecker(query);
  const planner = new RangePlanner(first, last);
  let failures = 0;
  for (let wanted = planner.next(); wanted !== null; wanted = planner.next()) {
    const { after, before } = wanted;
    try {
      let ms = 0;
      const answer = await withSlot(async () => {
        signal.throwIfAborted();
        const began = performance.now();
        const found = await searchJob(api, job, asked, after, before, signal);
        ms = performance.now() - began;
        return found;
      });
      if (signal.aborted) return;
      failures = 0;
      page.postMessage({ tell: "checking", id });
      const found = answer.matches.filter(matches);
      const [sequences, times] = [
        Float64Array.from(found, ({ line, sequence }) => line ?? sequence),
        Float64Array.from(found, ({ time }) => time),
      ];
      planner.answered(answer, found.length, ms);
      page.postMessage(
        {
          tell: "found",
          id,
          found: { sequences, times },
          covered: planner.covered,
          since: planner.since,
          unsearched: answer.unsearched?.length ?? 0,
        },
        [sequences.buffer, times.buffer],
      );
    } catch (error) {
      if (signal.aborted) return;
      const passing = error instanceof ApiError && error.passing;
      if (!passing || ++failures >= MAX_TRIES) throw error;
      const delay = retryDelay(RETRY, failures - 1, error.retryAfterMs ?? 0);
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (signal.aborted) return;
    }
  }
  page.postMessage({ tell: "done", id, full: planner.full });
}

page.onmessage = ({ data }) => {
  if (data.do === "stop") {
    tasks.get(data.id)?.abort();
    tasks.delete(data.id);
    return;
  }
  const { task } = data;
  const ending = new AbortController();
  tasks.set(task.id, ending);
  search(task, ending.signal)
    .catch((error: unknown) => {
      const status = error instanceof ApiError ? error.status : 0;
      page.postMessage({
        tell: "failed",
        id: task.id,
        status,
        message: error instanceof Error ? error.message : String(error),
      });
    })
    .finally(() => tasks.delete(task.id));
};
