// @vitest-environment happy-dom
import { describe, expect, test, vi } from "vitest";
import { fc } from "../support/check";

vi.stubGlobal("CSS", {});
const { exact, exactOrBefore, neighbour } = await import("../../src/view/jobview");
const { placeOf } = await import("../../src/view/Toolbar");

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

describe("where to go", () => {
  test("a number is a line, however it is written", () => {
    expect(placeOf("1,234")).toEqual({ sequence: 1234, time: null });
    expect(placeOf("77")).toEqual({ sequence: 77, time: null });
  });

  test("a clock time is today's, a date says its day", () => {
    const today = new Date(2026, 10, 23, 8, 0, 0);
    expect(placeOf("14:05:10", today)?.time).toBe(new Date(2026, 10, 23, 14, 5, 10).getTime());
    expect(placeOf("2026-11-22 14:05")?.time).toBe(new Date(2026, 10, 22, 14, 5).getTime());
    expect(placeOf("2026-11-22T14:05:00Z")?.time).toBe(Date.UTC(2026, 10, 22, 14, 5));
  });

  test("anything else is not a place", () => {
    for (const text of ["", "0", "soon", "-5", "12:", "1e5"]) expect(placeOf(text)).toBeNull();
  });
});
