// @vitest-environment happy-dom
import { describe, expect, test, vi } from "vitest";

vi.stubGlobal("CSS", {});
const { parseTarget } = await import("../../src/shell/Toolbar");

describe("the target of Go to", () => {
  test("is a line for a number, however it is written", () => {
    expect(parseTarget("1,234")).toEqual({ sequence: 1234, time: null });
    expect(parseTarget("77")).toEqual({ sequence: 77, time: null });
  });

  test("is a time of today for a clock time, and has its own day for a date", () => {
    const today = new Date(2026, 10, 23, 8, 0, 0);
    expect(parseTarget("14:05:10", today)?.time).toBe(new Date(2026, 10, 23, 14, 5, 10).getTime());
    expect(parseTarget("2026-11-22 14:05")?.time).toBe(new Date(2026, 10, 22, 14, 5).getTime());
    expect(parseTarget("2026-11-22T14:05:00Z")?.time).toBe(Date.UTC(2026, 10, 22, 14, 5));
  });

  test("is null for anything else", () => {
    for (const text of ["", "0", "soon", "-5", "12:", "1e5"]) expect(parseTarget(text)).toBeNull();
  });
});
