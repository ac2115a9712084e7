import { describe, expect, test } from "vitest";
import type { ExportBatch } from "../../src/export/exportJob";
import { mergeStreams, type PositionedLine, positionedLines } from "../../src/export/exportMerged";
import { isInRange, type MarkedRange, markedRange } from "../../src/log/markedRange";
import { comparePositions } from "../../src/log/mergeOrder";
import { fc } from "../support/check";

const pieces = fc.array(
  fc.array(fc.record({ step: fc.integer({ min: -2, max: 3 }), err: fc.boolean() }), { minLength: 1, maxLength: 4 }),
  { maxLength: 6 },
);

/** A job's batches. Its clock may step back, which must not change the order. */
async function* batchesOf(steps: { step: number; err: boolean }[][]): AsyncGenerator<ExportBatch> {
  let [start, time] = [1, 1_000];
  for (const batch of steps) {
    const times = batch.map(({ step }) => (time += step));
    const texts = batch.map((_, at) => String(start + at));
    yield {
      start,
      count: batch.length,
      columns: { times: Float64Array.from(times), streams: batch.map(({ err }) => (err ? "e" : "o")).join(""), texts },
    };
    start += batch.length;
  }
}

async function taken(
  jobs: { step: number; err: boolean }[][][],
  marks: MarkedRange | null = null,
): Promise<PositionedLine[]> {
  const found: PositionedLine[] = [];
  for await (const line of mergeStreams(
    jobs.map((steps, source) => positionedLines(batchesOf(steps), source, 1, 1_000, marks, false)),
  ))
    found.push(line);
  return found;
}

describe("several jobs exported as one", () => {
  test("are ordered by time, each job's lines in their own order, none missing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { minLength: 1, maxLength: 4 }), async (jobs) => {
        const lines = await taken(jobs);
        for (const [source, steps] of jobs.entries()) {
          const own = lines
            .filter(({ position }) => position.source === source)
            .map(({ position }) => position.sequence);
          expect(own).toEqual(Array.from({ length: steps.flat().length }, (_, at) => at + 1));
        }
        for (let at = 1; at < lines.length; at++)
          expect(
            comparePositions((lines[at - 1] as PositionedLine).position, (lines[at] as PositionedLine).position),
          ).toBeLessThan(0);
      }),
      { numRuns: 200 },
    );
  });

  test("contain the lines between two marks, whichever was set first", async () => {
    const jobs = [0, 1].map(() => [Array.from({ length: 5 }, () => ({ step: 1, err: false }))]);
    const all = (await taken(jobs)).map(({ position }) => position);
    for (const [at, one] of all.entries()) {
      for (const [other, line] of all.entries()) {
        const marks = markedRange(one, line);
        expect(all.filter((standing) => isInRange(marks, standing))).toEqual(
          all.slice(Math.min(at, other), Math.max(at, other) + 1),
        );
      }
    }
  });

  test("keep a marked last line even if its job's clock stepped back before it", async () => {
    const stepped = [[{ step: 9, err: false }], [{ step: -5, err: false }]];
    // Its position in the merged list: by the times of its own batch.
    const last = { source: 0, sequence: 2, at: 1_004 };
    const marks = { first: { source: 0, sequence: 1, at: 1_000 }, last };
    expect(
      (await taken([stepped], marks))
        .filter(({ position }) => isInRange(marks, position))
        .map(({ position }) => position.sequence),
    ).toEqual([1, 2]);
  });
});
