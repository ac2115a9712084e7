/** Dates in a log that spans several days: a header where a day begins, and full times in tooltips. */
import { settings } from "../settings";
import { dayText, fullTime, type TimeMode } from "../text/time";

interface DrawnDay {
  readonly row: object;
  readonly element: HTMLElement;
}

/** The zone that defines days: the pane's, or the reader's own where the pane hides times. */
function zone(): TimeMode {
  return settings.timeMode.peek() === "utc" ? "utc" : "local";
}

/** Mark each drawn row that begins another day than the row before it. */
export function markDays(rows: readonly DrawnDay[]): void {
  const mode = zone();
  let [before, until] = [Number.NaN, 0];
  for (const { row, element } of rows) {
    if (!("time" in row) || typeof row.time !== "number") continue;
    const { time } = row;
    const changed = !(time >= before && time < until);
    if (changed) {
      const first = Number.isNaN(before);
      [before, until] = dayOf(time, mode);
      if (!first) {
        element.dataset["day"] = dayWords(time, mode);
        continue;
      }
    }
    delete element.dataset["day"];
  }
}

/** Return a date as "Tuesday, 24 November 2026"; empty for today. */
export function dayUnlessToday(us: number, now: number): string {
  const mode = zone();
  return dayText(us, mode) === dayText(now * 1000, mode) ? "" : dayWords(us, mode);
}

function dayWords(us: number, mode: TimeMode): string {
  return new Date(us / 1000).toLocaleDateString("en-GB", {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    ...(mode === "utc" ? { timeZone: "UTC" } : {}),
  });
}

/** Return when the day of a time begins and ends, µs. */
function dayOf(us: number, mode: TimeMode): [begin: number, end: number] {
  const date = new Date(us / 1000);
  const begin = mode === "utc" ? date.setUTCHours(0, 0, 0, 0) : date.setHours(0, 0, 0, 0);
  const end = mode === "utc" ? date.setUTCDate(date.getUTCDate() + 1) : date.setDate(date.getDate() + 1);
  return [begin * 1000, end * 1000];
}

/** Show a row's full time in a tooltip. */
export function showFullTimes(host: HTMLElement): void {
  host.addEventListener("pointerover", ({ target }) => {
    if (!(target instanceof HTMLElement) || !target.classList.contains("time")) return;
    const us = Number(target.dataset["us"]);
    target.title = `${fullTime(us, "local")}\n${fullTime(us, "utc")}`;
  });
}
