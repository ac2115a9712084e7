import { describe, expect, test } from "vitest";
import { exact, exactOrBefore, neighbour } from "../../src/index/sorted";
import { fc } from "../support/check";

describe("stepping through what was found", () => {
  test("goes round at both ends and never stays where it is", () => {
    const found = Float64Array.of(10, 20, 30);
    expect([neighbour(found, 10, 1), neighbour(found, 30, 1), neighbour(found, 15, 1)]).toEqual([1, 0, 1]);
    expect([neighbour(found, 10, -1), neighbour(found, 30, -1), neighbour(found, 15, -1)]).toEqual([2, 1, 0]);
    expect(neighbour(new Float64Array(0), 5, 1)).toBe(-1);
  });

  test("finds by halving what a scan finds", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50)), fc.nat(60), (values, value) => {
        const sorted = Float64Array.from([...values].sort((a, b) => a - b));
        expect(exactOrBefore(sorted, value)).toBe(sorted.findLastIndex((one) => one <= value));
        expect(exact(sorted, value)).toBe(sorted.indexOf(value));
      }),
    );
  });
});
