/** Positions of found lines: of one job ordered by sequence, or of several ordered by time. Pure. */
import type { LinePosition } from "../log/mergeOrder";

/** Lines of one job, ascending, and their times (µs) where several jobs are searched. */
export interface FoundLines {
  readonly sequences: Float64Array;
  readonly times: Float64Array | null;
}

export const NO_NUMBERS = new Float64Array(0);
export const NO_LINES: FoundLines = { sequences: NO_NUMBERS, times: NO_NUMBERS };

export class LinePositions {
  constructor(
    readonly sequences: Float64Array,
    /** Null when all lines are of one job: sequences alone define the order. */
    readonly times: Float64Array | null = null,
    readonly sources: Uint8Array | null = null,
  ) {}

  get length(): number {
    return this.sequences.length;
  }

  at(index: number): LinePosition {
    return { source: this.sources?.[index] ?? 0, sequence: this.sequences[index] ?? 0, at: this.times?.[index] ?? 0 };
  }

  slice(from: number, to: number): LinePosition[] {
    const lines: LinePosition[] = [];
    for (let index = from; index < Math.min(to, this.length); index++) lines.push(this.at(index));
    return lines;
  }

  /** Return how many positions lie before a line. */
  before(line: LinePosition): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(middle, line) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Return the index of the last position at or before a line; -1 when there is none. */
  upTo(line: LinePosition): number {
    const before = this.before(line);
    return before < this.length && this.compare(before, line) === 0 ? before : before - 1;
  }

  /** Return a line's index; -1 when it is not in the list. */
  indexOf(line: LinePosition): number {
    const index = this.upTo(line);
    return index >= 0 && this.compare(index, line) === 0 ? index : -1;
  }

  /**
   * Return a line's index even if its time has changed, as happens when its clock stepped back and it was not loaded.
   */
  find(line: LinePosition): number {
    const index = this.indexOf(line);
    return index >= 0 || this.times === null
      ? index
      : this.sequences.findIndex((sequence, at) => sequence === line.sequence && this.sources?.[at] === line.source);
  }

  /** Return whether this list begins with all of the other: lines were added at the end only. */
  beginsWith(others: LinePositions): boolean {
    const last = others.length - 1;
    return (
      last < this.length &&
      (last < 0 || (this.compare(0, others.at(0)) === 0 && this.compare(last, others.at(last)) === 0))
    );
  }

  private compare(index: number, { source, sequence, at }: LinePosition): number {
    if (this.times !== null && this.sources !== null) {
      const apart = (this.times[index] as number) - at || (this.sources[index] as number) - source;
      if (apart !== 0) return apart;
    }
    return (this.sequences[index] as number) - sequence;
  }
}

/** Return the union of two lists of one job. Of a line in both, the first list's time counts. */
export function union(one: FoundLines, other: FoundLines): FoundLines {
  if (one.sequences.length === 0) return other;
  if (other.sequences.length === 0) return one;
  const [mine, theirs] = [one.sequences, other.sequences];
  const sequences = new Float64Array(mine.length + theirs.length);
  const times = one.times === null || other.times === null ? null : new Float64Array(sequences.length);
  let [a, b, length] = [0, 0, 0];
  while (a < mine.length || b < theirs.length) {
    const [x, y] = [mine[a] ?? Number.POSITIVE_INFINITY, theirs[b] ?? Number.POSITIVE_INFINITY];
    sequences[length] = Math.min(x, y);
    if (times !== null) times[length] = (x <= y ? one.times?.[a] : other.times?.[b]) as number;
    length++;
    if (x <= y) a++;
    if (y <= x) b++;
  }
  return { sequences: sequences.slice(0, length), times: times?.slice(0, length) ?? null };
}
