// @vitest-environment happy-dom
import { afterEach, describe, expect, test } from "vitest";
import { dayUnlessToday, markDays } from "../../src/pane/dayHeaders";
import { settings } from "../../src/settings";

const HOUR_US = 3_600_000_000;
const MIDNIGHT = Date.UTC(2026, 10, 24) * 1000;

function drawn(...times: (number | null)[]) {
  return times.map((time) => ({
    row: time === null ? { kind: "gone" } : { kind: "line", time },
    element: document.createElement("div"),
  }));
}

describe("day headers", () => {
  afterEach(() => {
    settings.timeMode.value = "local";
  });

  test("mark where a day begins, also where a clock stepped back, and only there", () => {
    settings.timeMode.value = "utc";
    const rows = drawn(MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT, null, MIDNIGHT + 5, MIDNIGHT - 1, MIDNIGHT + 25 * HOUR_US);
    markDays(rows);
    expect(rows.map(({ element }) => element.dataset["day"])).toEqual([
      undefined,
      undefined,
      "Tue, 24 Nov 2026",
      undefined,
      undefined,
      "Mon, 23 Nov 2026",
      "Wed, 25 Nov 2026",
    ]);
    // A redrawn first row shows no beginning of a day.
    markDays(rows.slice(2));
    expect(rows[2]?.element.dataset["day"]).toBeUndefined();
  });

  test("name the day in view unless it is today", () => {
    settings.timeMode.value = "utc";
    expect(dayUnlessToday(MIDNIGHT, MIDNIGHT / 1000 + 1)).toBe("");
    expect(dayUnlessToday(MIDNIGHT - 1, MIDNIGHT / 1000 + 1)).toBe("Mon, 23 Nov 2026");
  });
});
