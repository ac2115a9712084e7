import { beforeAll, describe, expect, test } from "vitest";
import { MergedList } from "../../src/engine/mergedList";
import { SequenceRanges } from "../../src/live/sequenceRanges";
import { prepareDecoder } from "../../src/log/body";
import { textOf } from "../../src/log/row";
import { Store } from "../../src/log/store";
import { mergeLines } from "../../src/search/mergeResults";
import { bodyOf, fc } from "../support/zstd";

beforeAll(prepareDecoder);

describe("merged jobs", () => {
  test("are ordered by time, whatever order their batches came in, and each row is found again", () => {
    const batch = fc.record({
      job: fc.nat(2),
      start: fc.integer({ min: 0, max: 50 }),
      count: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(batch, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 12 }),
        (batches, portion) => {
          const jobs = [0, 1, 2].map(() => ({
            store: new Store(),
            feed: { gone: new SequenceRanges(), floor: 1 },
            next: 1,
          }));
          const merge = new MergedList(jobs);
          const wanted: { time: number; source: number; sequence: number }[] = [];
          for (const [at, { job, start, count }] of batches.entries()) {
            const one = jobs[job] as (typeof jobs)[number];
            const lines = Array.from({ length: count }, (_, offset) => ({
              stream: "o",
              text: `${job}:${one.next + offset}`,
            }));
            const began = 1_000_000 + start * 1_000;
            one.store.add({
              first: one.next,
              count,
              start: began,
              end: began + count * 1_000,
              raw: 0,
              body: bodyOf(lines, began),
            });
            for (let offset = 0; offset < count; offset++)
              wanted.push({ time: began + offset * 1_000, source: job, sequence: one.next + offset });
            one.next += count;
            if (at % portion === 0) merge.update();
          }
          merge.update();
          expect(merge.update()).toBeNull();
          wanted.sort((a, b) => a.time - b.time || a.source - b.source || a.sequence - b.sequence);
          const { rows } = merge.rows(0, 1_000);
          expect(rows.map((row) => textOf(row))).toEqual(wanted.map(({ source, sequence }) => `${source}:${sequence}`));
          expect(rows.map(({ index }) => index)).toEqual(rows.map((_, at) => at));
          for (const { source, sequence, time } of wanted) {
            const place = merge.indexOf(source, sequence, time);
            expect(rows[place]).toMatchObject({ source, sequence });
          }
          // Every other entry is found at its index; one that is not loaded, at the index where it would be.
          const chosen = wanted.flatMap((one, place) => (place % 2 === 0 ? [{ ...one, place }] : []));
          const lists = (apart: number) =>
            mergeLines(
              [0, 1, 2].map((job) => {
                const own = chosen.filter(({ source }) => source === job).sort((a, b) => a.sequence - b.sequence);
                return {
                  sequences: Float64Array.from(own, ({ sequence }) => sequence + apart),
                  times: Float64Array.from(own, ({ time }) => time),
                };
              }),
            );
          expect([...merge.locate(lists(0))]).toEqual(chosen.map(({ place }) => place));
          expect([...merge.locate(lists(0.5))]).toEqual(chosen.map(({ place }) => place + 1));
        },
      ),
      { numRuns: 150 },
    );
  });
});

test("undecodable entries of merged jobs are one row that says so", () => {
  const [sound, damaged] = [1, 2].map(() => ({
    store: new Store(),
    feed: { gone: new SequenceRanges(), floor: 1 },
  })) as [
    { store: Store; feed: { gone: SequenceRanges; floor: number } },
    { store: Store; feed: { gone: SequenceRanges; floor: number } },
  ];
  sound.store.add({
    first: 1,
    count: 2,
    start: 10,
    end: 30,
    raw: 0,
    body: bodyOf(
      [
        { stream: "o", text: "a" },
        { stream: "o", text: "b" },
      ],
      1_000,
    ),
  });
  damaged.store.add({ first: 1, count: 3, start: 500, end: 600, raw: 0, body: "" });
  const merge = new MergedList([sound, damaged]);
  merge.update();
  expect(merge.rows(0, 9).rows.map((row) => [row.kind, row.source, "count" in row ? row.count : textOf(row)])).toEqual([
    ["unreadable", 1, 3],
    ["line", 0, "a"],
    ["line", 0, "b"],
  ]);
});

describe("missing lines of merged jobs", () => {
  function merged(
    floor: number,
    gone: [number, number] | null,
    ...batches: [first: number, count: number][]
  ): [number, unknown][] {
    const store = new Store();
    for (const [first, count] of batches) {
      const start = 1_000_000 + first * 1_000;
      store.add({
        first,
        count,
        start,
        end: start + count * 1_000,
        raw: 0,
        body: bodyOf(
          Array.from({ length: count }, () => ({ stream: "o", text: "x" })),
          start,
        ),
      });
    }
    const spans = new SequenceRanges();
    if (gone !== null) spans.add(...gone);
    const merge = new MergedList([{ store, feed: { gone: spans, floor } }]);
    merge.update();
    return merge.rows(0, 100).rows.flatMap((row) => (row.hole === undefined ? [] : [[row.sequence, row.hole]]));
  }

  test("are reported once: before the first loaded line, and after the last of each range", () => {
    expect(merged(100, null, [11, 2], [21, 2], [100, 5])).toEqual([
      [11, { side: "before", count: 10 }],
      [12, { side: "after", count: 8 }],
      [22, { side: "after", count: 77 }],
    ]);
  });

  test("are not reported where they load without a request or were deleted", () => {
    expect(merged(1, null, [11, 2], [21, 2])).toEqual([]);
    expect(merged(11, [1, 10], [11, 2])).toEqual([]);
    expect(merged(11, [1, 4], [11, 2])).toEqual([[11, { side: "before", count: 6 }]]);
  });
});
