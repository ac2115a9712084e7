/** Times for people: local, UTC, relative or hidden; the same in the pane, in copies and in exports. */

export const TIME_MODES = ["local", "utc", "relative", "hidden"] as const;
export type TimeMode = (typeof TIME_MODES)[number];

const DAY_MS = 86_400_000;

/**
 * Return a time (µs since 1970) as "HH:MM:SS.mmm", or relative to `base` (µs) as "+1:02:03.456". Empty for `hidden`,
 * and for a time outside of the calendar.
 */
export function formatTime(us: number, mode: TimeMode, base = 0): string {
  if (mode === "hidden") return "";
  if (mode === "relative") return sinceText(us - base);
  const date = new Date(Math.floor(us / 1000));
  const ms = date.getTime();
  if (Number.isNaN(ms)) return "";
  if (mode === "utc") return clockText((((ms % DAY_MS) + DAY_MS) % DAY_MS) | 0);
  return clockText(
    ((date.getHours() * 60 + date.getMinutes()) * 60 + date.getSeconds()) * 1000 + date.getMilliseconds(),
  );
}

/** Return RFC 3339 to the microsecond, for titles and copies: `local` with its offset, everything else in UTC. */
export function fullTime(us: number, mode: TimeMode): string {
  const ms = Math.floor(us / 1000);
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "";
  const micros = padded(us - ms * 1000, 3);
  if (mode !== "local") return `${date.toISOString().slice(0, -1)}${micros}Z`;
  const offset = -date.getTimezoneOffset();
  const shifted = new Date(ms + offset * 60_000);
  if (Number.isNaN(shifted.getTime())) return "";
  const zone = `${offset < 0 ? "-" : "+"}${padded(Math.floor(Math.abs(offset) / 60), 2)}:${padded(Math.abs(offset) % 60, 2)}`;
  return `${shifted.toISOString().slice(0, -1)}${micros}${zone}`;
}

/** Return a line's time for a copy or a file, in the pane's format; empty for `hidden`. */
export function stampText(us: number, mode: TimeMode, base: number): string {
  return mode === "local" || mode === "utc" ? fullTime(us, mode) : formatTime(us, mode, base);
}

/** Return the day of a time, "2026-11-24"; empty where `formatTime` is. */
export function dayText(us: number, mode: TimeMode): string {
  return mode === "local" || mode === "utc" ? (fullTime(us, mode).split("T")[0] ?? "") : "";
}

/**
 * Return "just now", "3 s ago", "12 min ago", "5 h ago" or "8 d ago" for milliseconds. Clocks differ: a negative age is
 * "just now".
 */
export function ago(ms: number): string {
  return ms >= 1000 ? `${durationText(ms)} ago` : "just now";
}

/** Return "3 s", "12 min", "5 h" or "8 d" for milliseconds. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000)) || 0;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

function clockText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${padded(Math.floor(seconds / 3_600), 2)}:${padded(Math.floor(seconds / 60) % 60, 2)}:${padded(seconds % 60, 2)}.${padded(ms % 1000, 3)}`;
}

function sinceText(us: number): string {
  if (!Number.isFinite(us)) return "";
  const ms = Math.floor(Math.abs(us) / 1000);
  const seconds = Math.floor(ms / 1000);
  const clock = `${Math.floor(seconds / 3_600)}:${padded(Math.floor(seconds / 60) % 60, 2)}:${padded(seconds % 60, 2)}.${padded(ms % 1000, 3)}`;
  return `${us < 0 ? "-" : "+"}${clock}`;
}

function padded(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
