/** The order of lines of several jobs: by time, then job, then sequence. Pure. */

export interface LinePosition {
  /** The job's index among the merged ones. */
  readonly source: number;
  readonly sequence: number;
  /** Microseconds since 1970. */
  readonly at: number;
}

export function comparePositions(one: LinePosition, other: LinePosition): number {
  return one.at - other.at || one.source - other.source || one.sequence - other.sequence;
}

export function isSamePosition(
  one: LinePosition | null,
  { source, sequence }: Pick<LinePosition, "source" | "sequence">,
): boolean {
  return one !== null && one.source === source && one.sequence === sequence;
}

/**
 * Return the times that order a batch's entries, µs: never earlier than the entry before, even if the host's clock
 * stepped back. Each batch is ordered by its own times.
 */
export function monotonicTimes(times: Float64Array): Float64Array {
  if (times.every((time, at) => at === 0 || time >= (times[at - 1] as number))) return times;
  let latest = 0;
  return times.map((time) => (latest = Math.max(latest, time)));
}
