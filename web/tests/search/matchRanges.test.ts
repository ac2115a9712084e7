import { describe, expect, test } from "vitest";
import { matchRanges } from "../../src/search/matchRanges";

describe("Marks", () => {
  test("are where a match is, also at the end of the longest text that is drawn", () => {
    const text = `needle ${"x".repeat(262_144)} needle`;
    expect(matchRanges(text, /needle/g)).toEqual([0, 6, text.length - 6, text.length]);
  });

  test("of empty matches are none", () => {
    expect(matchRanges("abc", /x*/g)).toEqual([]);
  });
});
