import { describe, expect, test } from "vitest";
import { exact, exactOrBefore } from "../../src/index/sorted";
import { fc } from "../support/check";

describe("lookup in sorted numbers", () => {
  test("finds the same as a scan", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50)), fc.nat(60), (values, value) => {
        const sorted = Float64Array.from([...values].sort((a, b) => a - b));
        expect(exactOrBefore(sorted, value)).toBe(sorted.findLastIndex((one) => one <= value));
        expect(exact(sorted, value)).toBe(sorted.indexOf(value));
      }),
    );
  });
});
