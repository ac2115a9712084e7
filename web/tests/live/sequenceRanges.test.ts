import { describe, expect, test } from "vitest";
import { SequenceRanges } from "../../src/live/sequenceRanges";
import { fc } from "../support/check";

const piece = fc.record({
  first: fc.integer({ min: 1, max: 60 }),
  length: fc.integer({ min: 1, max: 12 }),
  add: fc.boolean(),
});

describe("SequenceRanges", () => {
  test("holds the same as a set of numbers, whatever is added and removed in any order", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const [spans, model] = [new SequenceRanges(), new Set<number>()];
        for (const { first, length, add } of pieces) {
          const last = first + length - 1;
          let fresh = 0;
          for (let at = first; at <= last; at++) {
            if (add && !model.has(at)) fresh++;
            if (add) model.add(at);
            else model.delete(at);
          }
          if (add) expect(spans.add(first, last)).toBe(fresh);
          else spans.remove(first, last);
        }
        expect(spans.count).toBe(model.size);
        const missing = new Set(
          spans
            .missing(1, 80)
            .flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, at) => first + at)),
        );
        for (let at = 1; at <= 80; at++) {
          expect(spans.has(at)).toBe(model.has(at));
          expect(missing.has(at)).toBe(!model.has(at));
        }
        for (const [at, span] of spans.all.entries()) {
          const next = spans.all[at + 1];
          if (next) expect(next.first).toBeGreaterThan(span.last + 1);
        }
      }),
    );
  });
});
