import { expect, test, vi } from "vitest";
import { JobList, type JobListChanges, mergeRecords } from "../../src/engine/jobList";
import { Api } from "../../src/wire/api";
import { record } from "../jobs/records";

test("a late growth message does not bring an ended job back to life", () => {
  const ended = record({ seen: 2_000, tip: 9, last: 1_900, life: { state: "exited" } });
  const late = record({ seen: 1_000, tip: 9, last: 1_900, life: { state: "running" } });
  expect(mergeRecords(ended, late)).toEqual(ended);
});

test("a state change does not undo a job's growth", () => {
  const grown = record({ seen: 1_000, tip: 500, last: 990 });
  const paused = record({ seen: 1_500, tip: 100, last: 200, life: { state: "paused" } });
  expect(mergeRecords(grown, paused)).toEqual({ ...paused, tip: 500, last: 990 });
});

test("an unknown job is taken as reported", () => {
  const first = record({ tip: 3 });
  expect(mergeRecords(undefined, first)).toBe(first);
});

test("the list is requested after the rows that a reader waits for", async () => {
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
  const list = new JobList(
    () => api,
    clock,
    () => undefined,
    () => rows.then(() => asked.push("rows")),
  );
  const loading = list.load();
  await Promise.resolve();
  expect(asked).toEqual([]);
  rowsAreThere();
  await loading;
  expect(asked).toEqual(["rows", "jobs from the first"]);
});

test("jobs that began while the list was read, before the subscription, are read again", async () => {
  const jobs = [record()];
  const answers: (() => void)[] = [];
  const api = {
    jobs: () => {
      const read = [...jobs];
      return new Promise((resolve) => answers.push(() => resolve({ jobs: read, next: null })));
    },
  } as unknown as Api;
  const clock = { now: () => 0, later: () => () => undefined };
  const list = new JobList(
    () => api,
    clock,
    () => undefined,
    () => Promise.resolve(),
  );
  const loading = list.load();
  await vi.waitFor(() => expect(answers).toHaveLength(1), { timeout: 60_000 });
  jobs.push(record());
  list.subscription.answer({ type: "subscribed", id: "v1", job: null, tip: null, record: null });
  answers[0]?.();
  await vi.waitFor(() => expect(answers).toHaveLength(2), { timeout: 60_000 });
  answers[1]?.();
  await loading;
  // Once more only: nothing requested it a third time.
  expect(answers).toHaveLength(2);
});

test("a damaged record is one row of the list and hides no other", async () => {
  const poison = {
    type: "open",
    job: `a.${"1".repeat(64)}`,
    owner: "o",
    principal: "a",
    container: { name: "poison", image: "x", labels: { tier: 7 } },
    life: { state: "exited", exit_code: 2 ** 60 },
    tip: 12,
  };
  const jobs = [
    poison,
    { ...poison, job: 7 },
    "nothing of the kind",
    null,
    { ...poison, job: `b.${"2".repeat(64)}`, container: "?", life: [] },
    record({ job: `c.${"3".repeat(64)}` }),
  ];
  const fetched: string[] = [];
  const api = new Api("", "", (input) => {
    fetched.push(String(input));
    return Promise.resolve(
      new Response(
        JSON.stringify(
          fetched.length === 1 ? { jobs, next: "2" } : { jobs: [record({ job: `d.${"4".repeat(64)}` })], next: null },
        ),
      ),
    );
  });
  const reports: JobListChanges[] = [];
  const list = new JobList(
    () => api,
    {
      now: () => 1,
      later: (_, step) => {
        step();
        return () => undefined;
      },
    },
    (changes) => reports.push(changes),
    () => Promise.resolve(),
  );
  await list.load();
  const rows = reports.flatMap(({ changed }) => changed);
  expect(reports.at(-1)).toMatchObject({ loaded: true, problem: null });
  expect(new Set(rows.map(({ job }) => job)).size).toBe(jobs.length + 1);
  const of = (job: string) => rows.find((row) => row.job === job);
  expect(of(poison.job)).toMatchObject({
    container: { name: "poison", image: "x", labels: {} },
    tip: 12,
    life: { state: "damaged record", exit_code: null },
  });
  expect(of(`b.${"2".repeat(64)}`)).toMatchObject({
    owner: "o",
    tip: 12,
    container: { name: "" },
    life: { state: "damaged record" },
  });
  expect(of(`c.${"3".repeat(64)}`)?.life.state).toBe(record({}).life.state);
  expect(
    rows
      .filter(({ life }) => life.state === "damaged record")
      .every(({ life }) => life.problem?.startsWith("This record is damaged: ")),
  ).toBe(true);
  expect(rows.filter(({ life }) => life.state === "damaged record")).toHaveLength(5);
});
