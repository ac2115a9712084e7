// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Engine } from "../../src/engine/client";
import { Finder, type Found } from "../../src/index/finder";
import { NO_LINES } from "../../src/index/linePositions";
import type { FromIndexer, ToIndexer } from "../../src/index/messages";
import { MATCH_ALL } from "../../src/index/query";
import { STOPPED_EXPRESSION } from "../../src/index/stoppedExpression";

const QUERY = { ...MATCH_ALL, text: "^(a|a)+b$", regex: true };

/** An indexer that may stop answering. */
class Indexer {
  static all: Indexer[] = [];
  onmessage: ((event: { data: FromIndexer }) => void) | null = null;
  readonly heard: ToIndexer[] = [];
  hears = true;
  ended = false;

  constructor() {
    Indexer.all.push(this);
  }

  postMessage(message: ToIndexer): void {
    this.heard.push(message);
    if (message.do === "hear" && this.hears) this.tell({ tell: "alive", job: null });
  }

  tell(data: FromIndexer): void {
    this.onmessage?.({ data });
  }

  terminate(): void {
    this.ended = true;
  }
}

describe("a search in the tab", () => {
  let finder: Finder;
  let told: Record<string, (number | string)[]>;
  const indexer = (): Indexer => Indexer.all.at(-1) as Indexer;
  const asked = (job: string): number => {
    const found = indexer().heard.findLast((message) => message.do === "search" && message.job === job);
    return found?.do === "search" ? found.id : -1;
  };
  const answer = (job: string): void => {
    indexer().tell({ tell: "hits", job, id: asked(job), found: NO_LINES, lines: 1, ms: 1 });
  };
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("Worker", Indexer);
    Indexer.all = [];
    told = { one: [], two: [] };
    finder = new Finder({ ask: () => Promise.resolve(null), connectIndexer: () => undefined } as unknown as Engine);
    for (const job of ["one", "two"]) {
      finder.index(job, {
        timed: false,
        hits: ({ lines }: Found) => told[job]?.push(lines),
        errors: () => undefined,
        failed: (message) => told[job]?.push(message),
      });
    }
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  test("is ended when the indexer stops answering, and the others continue with a new one", () => {
    indexer().tell({ tell: "alive", job: null });
    finder.search("one", QUERY);
    finder.search("two", { ...MATCH_ALL, text: "a" });
    indexer().tell({ tell: "alive", job: "one" });
    indexer().hears = false;
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual({ one: [STOPPED_EXPRESSION], two: [] });
    expect(Indexer.all.map(({ ended }) => ended)).toEqual([true, false]);
    answer("two");
    expect(told).toEqual({ one: [STOPPED_EXPRESSION], two: [1] });
  });

  test("is ended when a later line makes an answered expression endless", () => {
    indexer().tell({ tell: "alive", job: null });
    finder.search("one", QUERY);
    answer("one");
    vi.advanceTimersByTime(60_000);
    indexer().tell({ tell: "alive", job: "one" });
    indexer().hears = false;
    vi.advanceTimersByTime(10_000);
    expect(told["one"]).toEqual([1, STOPPED_EXPRESSION]);
  });

  test("waits for an indexer that takes long to load", () => {
    finder.search("one", QUERY);
    vi.advanceTimersByTime(60_000);
    expect(told["one"]).toEqual([]);
    answer("one");
    expect(told["one"]).toEqual([1]);
  });

  test("is not ended because the page was suspended", () => {
    indexer().tell({ tell: "alive", job: null });
    finder.search("one", QUERY);
    // The page's timer runs first then: messages that arrived in the meantime wait behind it.
    vi.spyOn(performance, "now").mockReturnValue(performance.now() + 60_000);
    vi.advanceTimersByTime(1_000);
    expect(told["one"]).toEqual([]);
    expect(Indexer.all).toHaveLength(1);
  });

  test("does not lose a time lookup when it is ended", async () => {
    indexer().tell({ tell: "alive", job: null });
    finder.search("one", QUERY);
    indexer().hears = false;
    const sequence = finder.timeToSequence("two", 7);
    vi.advanceTimersByTime(10_000);
    const again = indexer().heard.find((message) => message.do === "time");
    indexer().tell({ tell: "time", id: again?.do === "time" ? again.id : -1, sequence: 3 });
    expect(await sequence).toBe(3);
    expect(Indexer.all).toHaveLength(2);
  });
});
