import { describe, expect, test } from "vitest";
import { matchRanges } from "../../src/search/matchRanges";

describe("match ranges", () => {
  test("cover each match, also at the end of the longest drawn text", () => {
    const text = `needle ${"x".repeat(262_144)} needle`;
    expect(matchRanges(text, /needle/g)).toEqual([0, 6, text.length - 6, text.length]);
  });

  test("exclude empty matches", () => {
    expect(matchRanges("abc", /x*/g)).toEqual([]);
  });
});
