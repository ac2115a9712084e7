import { afterEach, describe, expect, it } from "vitest";
import { ago, dayText, durationText, formatTime, fullTime, TIME_MODES } from "../../src/text/time";

const US = Date.UTC(2026, 10, 24, 9, 5, 7, 45) * 1000 + 678;
const zone = process.env["TZ"];

afterEach(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
});

describe("times", () => {
  it("are UTC on request, in any time zone", () => {
    process.env["TZ"] = "Asia/Kolkata";
    expect(formatTime(US, "utc")).toBe("09:05:07.045");
    expect(fullTime(US, "utc")).toBe("2026-11-24T09:05:07.045678Z");
    expect(dayText(US, "utc")).toBe("2026-11-24");
  });

  it("are local with their offset", () => {
    process.env["TZ"] = "Asia/Kolkata";
    expect(formatTime(US, "local")).toBe("14:35:07.045");
    expect(fullTime(US, "local")).toBe("2026-11-24T14:35:07.045678+05:30");
    process.env["TZ"] = "America/St_Johns";
    expect(fullTime(US, "local")).toBe("2026-11-24T05:35:07.045678-03:30");
  });

  it("are relative to the job's start", () => {
    expect(formatTime(US + 3_723_456_000, "relative", US)).toBe("+1:02:03.456");
    expect(formatTime(US - 1_500_000, "relative", US)).toBe("-0:00:01.500");
  });

  it("are empty when hidden", () => {
    expect(formatTime(US, "hidden")).toBe("");
  });

  it("outside of the calendar are empty, not errors", () => {
    for (const mode of TIME_MODES) {
      for (const us of [Number.NaN, Number.POSITIVE_INFINITY, 9e18]) {
        expect(() => formatTime(us, mode)).not.toThrow();
        expect(fullTime(us, mode)).toBe("");
      }
    }
    expect(fullTime(-1, "utc")).toBe("1969-12-31T23:59:59.999999Z");
  });

  it.each([
    [0, "0 s", "just now"],
    [-5_000, "0 s", "just now"],
    [3_400, "3 s", "3 s ago"],
    [120_000, "2 min", "2 min ago"],
    [5 * 3_600_000, "5 h", "5 h ago"],
    [50 * 3_600_000, "2 d", "2 d ago"],
  ])("%d ms are %s", (ms, length, before) => {
    expect(durationText(ms)).toBe(length);
    expect(ago(ms)).toBe(before);
  });
});
