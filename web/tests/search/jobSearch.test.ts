import { beforeEach, describe, expect, test } from "vitest";
import type { JobFacts } from "../../src/engine/messages";
import type { Finder, Listener } from "../../src/index/finder";
import { MATCH_ALL } from "../../src/index/query";
import { JobSearch } from "../../src/search/jobSearch";
import { mergeProgress } from "../../src/search/mergeResults";
import type { Searcher } from "../../src/search/remoteSearch";

const QUERY = { ...MATCH_ALL, text: "needle" };
/** A job of a million lines, the last hundred thousand of them loaded. A line's time is ten times its sequence. */
const FACTS = {
  tip: 1_000_000,
  received: 100_000,
  gone: 0,
  tail: 900_001,
  since: 9_000_010,
  problem: null,
  caughtUp: true,
} as unknown as JobFacts;

function timed(...sequences: number[]) {
  return { sequences: Float64Array.from(sequences), times: Float64Array.from(sequences, (sequence) => sequence * 10) };
}

let facts: JobFacts | null;
let listener: Listener;
let asked: { first: number; last: number; hear: Parameters<Searcher["begin"]>[1] }[];
let did: string[];

function jobSearch(several = true): JobSearch {
  const finder = {
    index: (_: string, one: Listener) => (listener = one),
    search: () => undefined,
    forget: () => undefined,
  } as unknown as Finder;
  const searcher = {
    begin: ({ first, last }: { first: number; last: number }, hear: Parameters<Searcher["begin"]>[1]) =>
      asked.push({ first, last, hear }),
    stop: () => undefined,
  } as unknown as Searcher;
  const say = (what: string) => (): void => void did.push(what);
  return new JobSearch(
    "local.a",
    finder,
    searcher,
    { facts: () => facts, loadAll: say("whole"), found: say("found"), errors: say("errors"), failed: say("failed") },
    several,
  );
}

/** The service answers the last question. */
function tell(told: object, question = asked.length): void {
  asked[question - 1]?.hear({ id: question, ...told } as Parameters<Parameters<Searcher["begin"]>[1]>[0]);
}

beforeEach(() => {
  [facts, asked, did] = [FACTS, [], []];
});

describe("a search in one job", () => {
  test("is sure of what the tab has read, then of what the service has searched, down to all", () => {
    const search = jobSearch();
    search.begin(QUERY);
    expect(asked).toMatchObject([{ first: 1, last: 900_000 }]);
    expect(search.sureFrom?.from).toBe(Number.POSITIVE_INFINITY);
    listener.hits({ found: timed(950_000), lines: 99_999, ms: 1 });
    expect(search.sureFrom?.from).toBe(Number.POSITIVE_INFINITY);
    listener.hits({ found: timed(950_000), lines: 100_000, ms: 0 });
    expect(search.sureFrom).toMatchObject({ from: 900_001, since: 9_000_010 });
    // Within a stretch the farther match arrives first: nothing of it is sure yet.
    tell({ tell: "found", found: timed(881_000), covered: 0, since: null });
    expect(search.sureFrom).toMatchObject({ from: 900_001, since: 9_000_010 });
    tell({ tell: "found", found: timed(890_000), covered: 20_000, since: 8_800_010 });
    expect(search.sureFrom).toEqual({ from: 880_001, since: 8_800_010 });
    expect(search.found).toEqual(timed(881_000, 890_000, 950_000));
    tell({ tell: "done", full: false });
    expect(search.sureFrom).toBeNull();
    expect(search.remote.progress.peek()?.state).toBe("done");
  });

  test("stops waiting when it fails, and keeps its matches", () => {
    const search = jobSearch();
    search.begin(QUERY);
    listener.hits({ found: timed(), lines: 100_000, ms: 1 });
    tell({ tell: "found", found: timed(890_000), covered: 20_000, since: 8_800_010 });
    tell({ tell: "failed", status: 403, message: "No." });
    expect(search.sureFrom).toBeNull();
    expect(search.found).toEqual(timed(890_000));
    expect(search.remote.progress.peek()).toMatchObject({ state: "failed", message: "No.", covered: 20_000 });
  });

  test("continues where it was when another's expression ended their worker", () => {
    const search = jobSearch();
    search.begin(QUERY);
    listener.hits({ found: timed(), lines: 100_000, ms: 1 });
    tell({ tell: "found", found: timed(890_000), covered: 20_000, since: 8_800_010 });
    // From the stretch that was not searched completely.
    tell({ tell: "found", found: timed(850_000), covered: 20_000, since: 8_800_010 });
    tell({ tell: "lost" });
    expect(asked[1]).toMatchObject({ first: 1, last: 880_000 });
    expect(search.found).toEqual(timed(890_000));
    tell({ tell: "found", found: timed(850_000, 870_000), covered: 40_000, since: 8_400_010 });
    expect(search.found).toEqual(timed(850_000, 870_000, 890_000));
    expect(search.sureFrom).toEqual({ from: 840_001, since: 8_400_010 });
    expect(search.remote.progress.peek()).toMatchObject({ covered: 60_000, lines: 900_000 });
    // Late messages of the ended worker are ignored.
    tell({ tell: "found", found: timed(1), covered: 900_000, since: 10 }, 1);
    expect(search.found?.sequences).toHaveLength(3);
  });

  test("asks the service later if nothing is known of the job at first", () => {
    facts = null;
    const search = jobSearch();
    search.begin(QUERY);
    search.jobChanged();
    expect(asked).toEqual([]);
    facts = FACTS;
    search.jobChanged();
    search.jobChanged();
    expect(asked).toHaveLength(1);
  });

  test("does not wait for a job that cannot be read", () => {
    facts = { ...FACTS, tail: null, received: 0, problem: { status: 404, message: "" } };
    const search = jobSearch();
    search.begin(QUERY);
    expect(search.sureFrom).toBeNull();
  });

  test("loads a small missing part, and is sure of it once it is read", () => {
    facts = { ...FACTS, tip: 110_000, tail: 10_001, since: 100_010 };
    const search = jobSearch();
    search.begin(QUERY);
    expect([asked, did]).toEqual([[], ["whole"]]);
    listener.hits({ found: timed(), lines: 100_000, ms: 1 });
    expect(search.sureFrom).toMatchObject({ from: 10_001, since: 100_010 });
    facts = { ...facts, received: 110_000, tail: 1, since: Number.NEGATIVE_INFINITY };
    search.jobChanged();
    expect(search.sureFrom).not.toBeNull();
    listener.hits({ found: timed(5), lines: 110_000, ms: 0 });
    expect(search.sureFrom).toBeNull();
  });

  test.each([
    ["a text, of one job", false, "x(?=y)", ["whole"], undefined],
    ["a text, of several", true, "x(?=y)", ["whole"], undefined],
    ["a filter alone, of one", false, "", ["whole"], undefined],
    ["a filter alone, of several: they may be very long", true, "", [], "failed"],
  ])("loads the job for a query that only the tab can run: %s", (_, several, text, loads, state) => {
    const search = jobSearch(several);
    search.begin({ ...QUERY, text, regex: true, hide: ["stdout"] });
    tell({ tell: "alone", reason: "why" });
    expect(did).toEqual(loads);
    expect(search.remote.progress.peek()?.state).toBe(state);
  });
});

test("the progress of a search of several jobs names the incomplete ones", () => {
  const part = (state: "searching" | "done" | "full" | "failed", message = "") => ({
    state,
    covered: 10,
    lines: 20,
    unsearched: 1,
    message,
  });
  const names = () => ["one", "two", "three", "four"];
  expect(mergeProgress([null, null], names)).toBeNull();
  expect(mergeProgress([part("done"), null, part("full")], names)).toEqual({
    state: "full",
    covered: 20,
    lines: 40,
    unsearched: 2,
    message: "",
    missed: "",
  });
  expect(mergeProgress([part("searching"), part("failed", "No.")], names)).toEqual({
    state: "searching",
    covered: 20,
    lines: 40,
    unsearched: 2,
    message: "two: No.",
    missed: "two",
  });
  expect(mergeProgress([part("failed", "No."), part("failed", "Not."), null], names)).toMatchObject({
    state: "failed",
    message: "one: No. two: Not.",
    missed: "one and two",
  });
  expect(mergeProgress([part("failed"), part("failed"), part("failed"), part("done")], names)?.missed).toBe(
    "3 of 4 jobs",
  );
  expect(mergeProgress([part("failed"), part("failed")], names)?.missed).toBe("");
});
