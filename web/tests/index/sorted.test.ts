import { describe, expect, test } from "vitest";
import { exact, exactOrBefore } from "../../src/index/sorted";
import { fc } from "../support/check";

describe("looking up in what was found", () => {
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
