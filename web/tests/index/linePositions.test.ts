import { describe, expect, test } from "vitest";
import { type FoundLines, LinePositions, union } from "../../src/index/linePositions";
import { comparePositions, type LinePosition, monotonicTimes } from "../../src/log/mergeOrder";
import { type KnownFromPosition, MatchNavigator, nearestMatch } from "../../src/search/matchNavigator";
import { mergeLines } from "../../src/search/mergeResults";
import { fc } from "../support/check";

/** Sequences of each job, with times that may step back. */
const jobs = fc.array(
  fc
    .uniqueArray(fc.nat(40), { maxLength: 12 })
    .chain((sequences) =>
      fc.tuple(
        fc.constant(sequences.sort((a, b) => a - b)),
        fc.array(fc.nat(9), { minLength: sequences.length, maxLength: sequences.length }),
      ),
    ),
  {
    minLength: 2,
    maxLength: 5,
  },
);

function timed([sequences, times]: [number[], number[]]): FoundLines {
  return { sequences: Float64Array.from(sequences), times: Float64Array.from(times) };
}

function linesOf(all: [number[], number[]][]): LinePosition[] {
  return all
    .flatMap(([sequences, times], source) =>
      sequences.map((sequence, at) => ({ source, sequence, at: times[at] as number })),
    )
    .sort(comparePositions);
}

const line = fc.record({ source: fc.nat(5), sequence: fc.nat(41), at: fc.nat(10) });

describe("found lines of several jobs", () => {
  test("are ordered by position, and binary search agrees with a scan", () => {
    fc.assert(
      fc.property(jobs, line, (all, wanted) => {
        const [list, lines] = [mergeLines(all.map(timed)), linesOf(all)];
        expect(list.slice(0, list.length)).toEqual(lines);
        expect(list.before(wanted)).toBe(lines.filter((one) => comparePositions(one, wanted) < 0).length);
        expect(list.upTo(wanted)).toBe(lines.findLastIndex((one) => comparePositions(one, wanted) <= 0));
        for (const [index, one] of lines.entries()) {
          expect(list.indexOf(one)).toBe(index);
          expect(list.find({ ...one, at: one.at + 1 })).toBe(index);
          expect(list.indexOf({ ...one, sequence: one.sequence + 0.5 })).toBe(-1);
        }
      }),
    );
  });

  test("report growth at the end only when all new lines are there", () => {
    const list = (...sequences: number[]) => new LinePositions(Float64Array.from(sequences));
    expect(list(1, 2, 3).beginsWith(list(1, 2))).toBe(true);
    expect(list(1).beginsWith(list())).toBe(true);
    expect(list(0, 1, 2).beginsWith(list(1, 2))).toBe(false);
    expect(list(1, 3).beginsWith(list(1, 2))).toBe(false);
    expect(list(1).beginsWith(list(1, 2))).toBe(false);
  });
});

test("matches of the tab and the service are one list, each line once, with the tab's time", () => {
  const part = fc.uniqueArray(fc.nat(60)).map((values) => Float64Array.from(values.sort((a, b) => a - b)));
  fc.assert(
    fc.property(part, part, fc.boolean(), (one, other, withTimes) => {
      const found = union(
        { sequences: one, times: withTimes ? one.map((value) => value * 10) : null },
        { sequences: other, times: other.map((value) => value * 10 + 1) },
      );
      const all = [...new Set([...one, ...other])].sort((a, b) => a - b);
      expect([...found.sequences]).toEqual(all);
      if (withTimes)
        expect([...(found.times ?? [])]).toEqual(all.map((value) => value * 10 + (one.includes(value) ? 0 : 1)));
    }),
  );
});

test("entries are ordered by the latest time of their batch so far", () => {
  expect([...monotonicTimes(Float64Array.of(5, 3, 4, 9, 7))]).toEqual([5, 5, 5, 9, 9]);
  const ascending = Float64Array.of(1, 1, 2);
  expect(monotonicTimes(ascending)).toBe(ascending);
});

describe("moving from match to match", () => {
  test("never skips a match that may still appear", () => {
    fc.assert(
      fc.property(
        jobs,
        line,
        line,
        fc.constantFrom<1 | -1>(1, -1),
        fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
        (all, from, edge, by, come) => {
          // Lines before the edge may or may not have arrived.
          const lines = linesOf(all);
          const here = lines.filter((one, at) => comparePositions(one, edge) >= 0 || come[at]);
          const known = mergeLines(
            all.map((_, source) => {
              const own = here.filter((one) => one.source === source).sort((a, b) => a.sequence - b.sequence);
              return {
                sequences: Float64Array.from(own, ({ sequence }) => sequence),
                times: Float64Array.from(own, ({ at }) => at),
              };
            }),
          );
          const next = nearestMatch(known, from, by, edge);
          const truly = nearestMatch(mergeLines(all.map(timed)), from, by, null) as number;
          if (next !== null) expect(known.at(next)).toEqual(lines[truly]);
          // It does not wait for a known match.
          const beyond = by === 1 ? from : lines[truly];
          const round =
            beyond !== undefined &&
            truly >= 0 &&
            comparePositions(lines[truly] as LinePosition, from) > 0 !== (by === 1);
          if (truly >= 0 && !round && beyond !== undefined && comparePositions(beyond, edge) >= 0)
            expect(next).not.toBeNull();
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("wraps at both ends once all matches are known, and always moves", () => {
    const list = new LinePositions(Float64Array.of(10, 20, 30));
    const to = (sequence: number, by: 1 | -1, sure: KnownFromPosition = null) =>
      nearestMatch(list, { source: 0, sequence, at: 0 }, by, sure);
    expect([to(10, 1), to(30, 1), to(15, 1)]).toEqual([1, 0, 1]);
    expect([to(10, -1), to(30, -1), to(15, -1)]).toEqual([2, 1, 0]);
    const from = (sequence: number) => ({ source: 0, sequence, at: Number.POSITIVE_INFINITY });
    expect([to(10, -1, from(5)), to(30, 1, from(5)), to(30, -1, from(20)), to(30, -1, from(21))]).toEqual([
      null,
      null,
      1,
      null,
    ]);
    expect([to(15, 1, from(16)), to(15, 1, from(15))]).toEqual([null, 1]);
    expect(nearestMatch(new LinePositions(new Float64Array(0)), { source: 0, sequence: 5, at: 0 }, 1, null)).toBe(-1);
  });

  test("waits until the match is known, unless the reader moved", () => {
    let [list, sure]: [LinePositions, KnownFromPosition] = [
      new LinePositions(Float64Array.of(10)),
      { source: 0, sequence: 40, at: 0 },
    ];
    const gone: number[] = [];
    const navigator = new MatchNavigator(
      () => list,
      () => sure,
      (index) => gone.push(list.at(index).sequence),
    );
    const line = { source: 0, sequence: 50, at: 0 };
    navigator.step(line, -1);
    expect(gone).toEqual([]);
    list = new LinePositions(Float64Array.of(10, 30));
    navigator.update();
    expect(gone).toEqual([]);
    sure = { source: 0, sequence: 30, at: 0 };
    navigator.update();
    navigator.update();
    expect(gone).toEqual([30]);
    navigator.step({ ...line, sequence: 30 }, -1);
    navigator.cancel();
    sure = null;
    navigator.update();
    expect(gone).toEqual([30]);
  });
});
