import { describe, expect, test } from "vitest";
import { MATCH_ALL } from "../../src/index/query";
import { MAX_FOUND, matchChecker, RangePlanner } from "../../src/search/rangePlanner";
import { serverQuery } from "../../src/search/re2";
import { levelOf } from "../../src/text/levels";
import { fc } from "../support/check";

describe("the range planner", () => {
  test("requests every line once, the newest stretch first, however answers are cut", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 900_000 }),
        fc.integer({ min: 1, max: 900_000 }),
        fc.infiniteStream(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 4_000 }))),
        (one, other, luck) => {
          const [first, last] = [Math.min(one, other), Math.max(one, other)];
          const walk = new RangePlanner(first, last);
          let [asked, steps, before] = [0, 0, -1];
          for (let wanted = walk.next(); wanted !== null && steps < 400; wanted = walk.next(), steps++) {
            const [share, ms] = luck.next().value;
            const size = wanted.before - wanted.after - 1;
            expect(size).toBeGreaterThan(0);
            // An answer that ended early covers part of the request.
            const part = steps > 200 ? size : Math.max(1, Math.floor(size * share));
            asked += part;
            walk.answered({ next: part < size ? wanted.after + part : null, since: wanted.after + 1 }, 0, ms);
            expect(walk.covered).toBeGreaterThanOrEqual(Math.max(0, before));
            before = walk.covered;
            // Here a line's time is its sequence: the searched part begins with the first line of a stretch.
            expect(walk.since).toBe(walk.covered === 0 ? null : last - walk.covered + 1);
          }
          expect(walk.next()).toBeNull();
          expect(asked).toBe(last - first + 1);
          expect(walk.covered).toBe(last - first + 1);
        },
      ),
    );
  });

  test("begins with a short stretch, and grows while answers are quick", () => {
    const walk = new RangePlanner(1, 1_000_000);
    expect(walk.next()).toEqual({ after: 980_000, before: 1_000_001 });
    walk.answered({ next: null, since: null }, 0, 100);
    expect(walk.next()).toEqual({ after: 940_000, before: 980_001 });
    walk.answered({ next: null, since: null }, 0, 5_000);
    expect(walk.next()).toEqual({ after: 900_000, before: 940_001 });
  });

  test("ends at more matches than anyone steps through", () => {
    const walk = new RangePlanner(1, 1_000_000);
    walk.answered({ next: 981_000, since: null }, MAX_FOUND, 10);
    expect(walk.full).toBe(true);
    expect(walk.next()).toBeNull();
  });

  test("ends a stretch at an answer without progress", () => {
    const walk = new RangePlanner(1, 10);
    walk.answered({ next: 0, since: null }, 0, 10);
    expect(walk.next()).toBeNull();
  });
});

describe("a match of the service", () => {
  test("counts when the tab would find and show it too", () => {
    const found = (query: Partial<typeof MATCH_ALL>, text: string, stream: "stdout" | "stderr" = "stdout"): boolean =>
      matchChecker({ ...MATCH_ALL, ...query })({ stream, text });
    expect(found({ text: "30% done" }, "10% done\r30% done")).toBe(true);
    expect(found({ text: "10% done" }, "10% done\r30% done")).toBe(false);
    expect(found({ text: "x", hide: ["stderr"] }, "x", "stderr")).toBe(false);
    expect(found({ level: 5 }, "ERROR no")).toBe(true);
    expect(found({ level: 5 }, "it was interrupted")).toBe(false);
    expect(found({ hide: ["frames"], text: "main" }, "    at main (app.js:1)")).toBe(false);
  });

  test("is found for every line of the requested level", () => {
    const words = fc.constantFrom(
      "ERROR",
      "error:",
      "[warn]",
      "W0102 10:00:00",
      "F0102 10:00:00",
      '"level":50',
      '{"severity":"ERROR"}',
      "level=40",
      "panic: x",
      "Traceback (most recent call last)",
      "x.y.FooException: no",
      "Caused by: it",
      "goroutine 1 [running]",
      "thread 'a' panicked",
      "Unhandled thing",
      "[crit]",
      "EMERG",
      "SEVERE",
      "fatal:",
      "log_level: 60",
      "E, [2026-11-30T10:00:00 #1]",
      "<11>it",
      "1:M 30 Nov 2026 10:00:00.000 # it",
      '{"t":{"$date":""},"s":"E"}',
      '{"severityNumber":17}',
      '{"PRIORITY":"3"}',
      '{"short_message":"","level":3}',
      "2026-11-30 10:00:00.000000 E | etcd",
      "10:00:00 FTL x",
      "FATA[0003] x",
      "EROR[0003]",
      "fail: x",
      "npm ERR! x",
      "level=WARN+1",
      "DEBUG",
      "plain",
      " ",
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(words, fc.string({ maxLength: 8 })), { maxLength: 4 }),
        fc.constantFrom(4, 5, 6),
        (parts, level) => {
          const line = parts.join(" ");
          const asked = serverQuery({ ...MATCH_ALL, level });
          if (levelOf(line) >= level) expect(new RegExp(asked?.q ?? "$.", "i").test(line), line).toBe(true);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
