// @vitest-environment happy-dom
import { describe, expect, test } from "vitest";
import { parseRoute, urlOfMark } from "../src/route";

const [ONE, TWO, LIKE] = [
  `local.${"a".repeat(64)}`,
  `local.${"b".repeat(64)}`,
  `local.${"a".repeat(12)}${"c".repeat(52)}`,
];

describe("the address of merged lines", () => {
  test("names each line by its job and sequence, and is parsed back", () => {
    const [first, last] = [
      { job: TWO, sequence: 7 },
      { job: ONE, sequence: 12 },
    ];
    const url = urlOfMark([ONE, TWO], first, last);
    expect(url).toMatch(/&line=b{12}\.7-a{12}\.12$/);
    expect(parseRoute(url).mark).toEqual({ first, last });
    expect(parseRoute(urlOfMark([ONE, TWO], first, first)).mark).toEqual({ first, last: first });
  });

  test("has as much of a container's id as is needed to tell jobs apart", () => {
    const line = { job: LIKE, sequence: 3 };
    expect(parseRoute(urlOfMark([ONE, LIKE], line, line)).mark).toEqual({ first: line, last: line });
  });

  test.each([
    `&line=${"a".repeat(12)}.1`,
    "&line=aaaa.1",
    `&line=${"d".repeat(12)}.1`,
    "&line=7",
    `&line=${"b".repeat(12)}.0`,
    "&line=",
  ])("is ignored when it names no line: %s", (line) => {
    expect(parseRoute(`?job=${ONE}&job=${LIKE}&job=${TWO}${line}`).mark).toBeNull();
  });
});
