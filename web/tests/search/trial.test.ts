// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ExpressionFilter } from "../../src/export/format";
import { MATCH_ALL } from "../../src/index/query";
import { STOPPED_EXPRESSION } from "../../src/index/stoppedExpression";
import { Trial } from "../../src/search/trial";
import type { TrialAnswer, TrialRequest } from "../../src/search/trialMessages";

const QUERY = { ...MATCH_ALL, text: "(a+)+$", regex: true };

/** A worker that answers on request. */
class Pretended {
  static all: Pretended[] = [];
  onmessage: ((event: { data: TrialAnswer }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly heard: TrialRequest[] = [];
  ended = false;

  constructor() {
    Pretended.all.push(this);
  }

  postMessage(tried: TrialRequest): void {
    this.heard.push(tried);
  }

  tell(data: TrialAnswer): void {
    this.onmessage?.({ data });
  }

  terminate(): void {
    this.ended = true;
  }
}

const worker = (): Pretended => Pretended.all.at(-1) as Pretended;
const soon = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe("an expression under test", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("Worker", Pretended);
    Pretended.all = [];
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  test("is given up when its worker cannot be loaded, and the next one has a worker of its own", async () => {
    const trial = new Trial();
    const first = trial.test(QUERY, ["aaa!"]).catch((error: Error) => error.message);
    await soon();
    worker().onerror?.();
    expect(await first).toMatch(/failed/);
    const second = trial.test({ ...QUERY, text: "b" }, ["b"]);
    await soon();
    worker().tell("alive");
    worker().tell([true]);
    expect([await second, Pretended.all.length]).toEqual([[true], 2]);
  });

  test("is ended after two seconds without progress, and the next one has a worker of its own", async () => {
    const trial = new Trial();
    const first = trial.test(QUERY, ["aaa!"]).catch((error: Error) => error.message);
    const second = trial.test({ ...QUERY, text: "b" }, ["b"]);
    await soon();
    worker().tell("alive");
    await vi.advanceTimersByTimeAsync(1_900);
    worker().tell("alive");
    await vi.advanceTimersByTimeAsync(1_900);
    expect(worker().ended).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(await first).toBe(STOPPED_EXPRESSION);
    expect(Pretended.all.map(({ ended }) => ended)).toEqual([true, false]);
    worker().tell("alive");
    worker().tell([true]);
    expect(await second).toEqual([true]);
  });

  test("waits for a worker that takes long to load", async () => {
    const found = new Trial().ranges(QUERY, ["a"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(worker().heard).toEqual([]);
    worker().tell("alive");
    worker().tell([[0, 1]]);
    expect(await found).toEqual([[0, 1]]);
  });

  test("answers at once when it is given up", async () => {
    const trial = new Trial();
    const found = trial.ranges(QUERY, ["a"]).catch((error: Error) => error.message);
    await soon();
    trial.destroy();
    expect(await found).toBe("ended");
  });

  test("ends an export with its message, not the exporting worker", async () => {
    const line = {
      stream: "stdout",
      open: false,
      entries: [{ sequence: 1, time: 0, stream: "o", text: "a".repeat(60) }],
    } as const;
    const texts = new ExpressionFilter(QUERY);
    const taken = texts.matching([{ ...line, entries: [...line.entries] }]).catch((error: Error) => error.message);
    await vi.waitFor(() => expect(Pretended.all).toHaveLength(1));
    worker().tell("alive");
    await vi.advanceTimersByTimeAsync(2_100);
    expect(await taken).toBe(STOPPED_EXPRESSION);
  });
});
