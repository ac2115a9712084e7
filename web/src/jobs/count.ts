/** Counts as every page shows them. */

/** "999", "1.2k", "34k", "5.6M": three digits at most. */
export function countText(count: number): string {
  if (count < 10 && !Number.isInteger(count)) return count < 0.05 ? "0" : count.toFixed(1);
  for (const [least, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (count >= least)
      return `${count < least * 10 ? (Math.floor(count / (least / 10)) / 10).toFixed(1) : Math.floor(count / least)}${unit}`;
  }
  return String(Math.round(count));
}
