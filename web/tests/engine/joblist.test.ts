import { expect, test, vi } from "vitest";
import { JobList, mergeRecords } from "../../src/engine/joblist";
import type { Api } from "../../src/wire/api";
import { record } from "../jobs/records";

test("a late word of growth does not bring an ended job back to life", () => {
  const ended = record({ seen: 2_000, tip: 9, last: 1_900, life: { state: "exited" } });
  const late = record({ seen: 1_000, tip: 9, last: 1_900, life: { state: "running" } });
  expect(mergeRecords(ended, late)).toEqual(ended);
});

test("a change of state does not take back how far a job got", () => {
  const grown = record({ seen: 1_000, tip: 500, last: 990 });
  const paused = record({ seen: 1_500, tip: 100, last: 200, life: { state: "paused" } });
  expect(mergeRecords(grown, paused)).toEqual({ ...paused, tip: 500, last: 990 });
});

test("a job that nobody knew is what is said of it", () => {
  const first = record({ tip: 3 });
  expect(mergeRecords(undefined, first)).toBe(first);
});

test("the list is not asked for before the rows that somebody waits to read are there", async () => {
  const asked: string[] = [];
  let rowsAreThere = (): void => undefined;
  const rows = new Promise<void>((resolve) => (rowsAreThere = resolve));
  const api = {
    jobs: (next: string | null) => {
      asked.push(`jobs from ${next ?? "the first"}`);
      return Promise.resolve({ jobs: [record()], next: null });
    },
  } as unknown as Api;
  const clock = { now: () => 0, later: () => () => undefined };
  const list = new JobList(() => api, clock, () => undefined, () => rows.then(() => asked.push("rows")));
  const loading = list.load();
  await Promise.resolve();
  expect(asked).toEqual([]);
  rowsAreThere();
  await loading;
  expect(asked).toEqual(["rows", "jobs from the first"]);
});

test("what began while the list was read and was not subscribed to yet is read again", async () => {
  const jobs = [record()];
  const answers: (() => void)[] = [];
  const api = {
    jobs: () => {
      const read = [...jobs];
      return new Promise((resolve) => answers.push(() => resolve({ jobs: read, next: null })));
    },
  } as unknown as Api;
  const clock = { now: () => 0, later: () => () => undefined };
  const list = new JobList(() => api, clock, () => undefined, () => Promise.resolve());
  const loading = list.load();
  await vi.waitFor(() => expect(answers).toHaveLength(1), { timeout: 60_000 });
  jobs.push(record());
  list.subscription.answer({ type: "subscribed", id: "v1", job: null, tip: null, record: null });
  answers[0]?.();
  await vi.waitFor(() => expect(answers).toHaveLength(2), { timeout: 60_000 });
  answers[1]?.();
  await loading;
  // Once: nothing asked for it a third time.
  expect(answers).toHaveLength(2);
});
