/** Merge what was found in several jobs. Pure. */
import { type FoundLines, LinePositions, NO_NUMBERS } from "../index/linePositions";
import type { Progress } from "./remoteSearch";
import type { ResultMerger, SearchProgress } from "./searchController";

export function resultMerger(names: () => readonly string[]): ResultMerger {
  return { order: mergeLines, progress: (parts) => mergeProgress(parts, names) };
}

/** Merge the lines of all jobs; each job's index becomes their source. */
export function mergeLines(jobs: readonly FoundLines[]): LinePositions {
  let lists = jobs.map(sortByTime);
  while (lists.length > 1) {
    const halved: LinePositions[] = [];
    for (let at = 0; at < lists.length; at += 2) {
      const [one, other] = [lists[at] as LinePositions, lists[at + 1]];
      halved.push(other === undefined ? one : mergeTwo(one, other));
    }
    lists = halved;
  }
  return lists[0] ?? new LinePositions(NO_NUMBERS, NO_NUMBERS, new Uint8Array(0));
}

/** Return how far the service's search of all jobs is. */
export function mergeProgress(
  parts: readonly (Progress | null)[],
  names: () => readonly string[],
): SearchProgress | null {
  const known = parts.flatMap((part, at) => (part === null ? [] : [{ ...part, at }]));
  if (known.length === 0) return null;
  const failed = known.filter(({ state }) => state === "failed");
  const called = failed.map(({ at }) => names()[at] ?? "");
  return {
    state:
      (["searching", "failed", "full"] as const).find((state) => known.some((one) => one.state === state)) ?? "done",
    covered: known.reduce((sum, { covered }) => sum + covered, 0),
    lines: known.reduce((sum, { lines }) => sum + lines, 0),
    unsearched: known.reduce((sum, { unsearched }) => sum + unsearched, 0),
    message: failed.map(({ message }, at) => `${called[at]}: ${message}`).join(" "),
    missed:
      failed.length === parts.length
        ? ""
        : called.length > 2
          ? `${called.length} of ${parts.length} jobs`
          : called.join(" and "),
  };
}

function sortByTime({ sequences, times }: FoundLines, source: number): LinePositions {
  const own = times ?? new Float64Array(sequences.length);
  const sources = new Uint8Array(sequences.length).fill(source);
  if (own.every((time, at) => at === 0 || time >= (own[at - 1] as number)))
    return new LinePositions(sequences, own, sources);
  const order = Uint32Array.from(sequences, (_, at) => at).sort(
    (a, b) => (own[a] as number) - (own[b] as number) || a - b,
  );
  return new LinePositions(
    Float64Array.from(order, (at) => sequences[at] as number),
    Float64Array.from(order, (at) => own[at] as number),
    sources,
  );
}

/** Merge two lists; jobs of the first precede those of the other. */
function mergeTwo(one: LinePositions, other: LinePositions): LinePositions {
  const length = one.length + other.length;
  const [sequences, times, sources] = [new Float64Array(length), new Float64Array(length), new Uint8Array(length)];
  const [mine, theirs] = [one.times as Float64Array, other.times as Float64Array];
  for (let [a, b, to] = [0, 0, 0]; to < length; to++) {
    const first = b >= other.length || (a < one.length && (mine[a] as number) <= (theirs[b] as number));
    const [from, at] = first ? [one, a++] : [other, b++];
    sequences[to] = from.sequences[at] as number;
    times[to] = (from.times as Float64Array)[at] as number;
    sources[to] = (from.sources as Uint8Array)[at] as number;
  }
  return new LinePositions(sequences, times, sources);
}
