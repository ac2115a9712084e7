/** The worker that searches on the service what the tab has not: apart, so that an expression that never ends is ended with it. */
import { Api, ApiError } from "../wire/api";
import { searchJob } from "./calls";
import type { FromSearcher, Task, ToSearcher } from "./messages";
import { check, Walk } from "./walk";

const page = self as unknown as {
  postMessage(message: FromSearcher, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToSearcher>) => void) | null;
};

const TRIES = 5;
let current = 0;

async function search({ id, api: base, token, job, query, asked, first, last }: Task): Promise<void> {
  const api = new Api(base, token);
  const matches = check(query);
  const walk = new Walk(first, last);
  let failures = 0;
  for (let wanted = walk.next(); wanted !== null && current === id; wanted = walk.next()) {
    const began = performance.now();
    try {
      const answer = await searchJob(api, job, asked, wanted.after, wanted.before);
      if (current !== id) return;
      failures = 0;
      page.postMessage({ tell: "checking", id });
      const sequences = Float64Array.from(answer.matches.filter(matches), ({ sequence }) => sequence);
      walk.answered(answer, sequences.length, performance.now() - began);
      page.postMessage({ tell: "found", id, sequences, covered: walk.covered }, [sequences.buffer]);
    } catch (error) {
      if (current !== id) return;
      const passing = error instanceof ApiError && error.passing;
      if (!passing || ++failures >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs ?? 500 * 2 ** failures));
    }
  }
  if (current === id) page.postMessage({ tell: "done", id, full: walk.full });
}

page.onmessage = ({ data }) => {
  if (data.do === "stop") {
    current = 0;
    return;
  }
  const { task } = data;
  current = task.id;
  search(task).catch((error: unknown) => {
    const status = error instanceof ApiError ? error.status : 0;
    page.postMessage({ tell: "failed", id: task.id, status, message: error instanceof Error ? error.message : String(error) });
  });
};
