/** Lines that were found, of one job in the order of its sequences, or of several in the order in which they stand. Pure. */
import type { Standing } from "../log/standing";

/** Lines of one job, ascending; their times, µs, where several jobs are looked at. */
export interface Timed {
  readonly sequences: Float64Array;
  readonly times: Float64Array | null;
}

export const NONE = new Float64Array(0);
export const NOTHING: Timed = { sequences: NONE, times: NONE };

export class Standings {
  constructor(
    readonly sequences: Float64Array,
    /** Null where sequences alone tell the order: all are of one job. */
    readonly times: Float64Array | null = null,
    readonly sources: Uint8Array | null = null,
  ) {}

  /** Of several jobs, each job's lines in its place. */
  static of(jobs: readonly Timed[]): Standings {
    let lists = jobs.map(ordered);
    while (lists.length > 1) {
      const halved: Standings[] = [];
      for (let at = 0; at < lists.length; at += 2) {
        const [one, other] = [lists[at] as Standings, lists[at + 1]];
        halved.push(other === undefined ? one : joined(one, other));
      }
      lists = halved;
    }
    return lists[0] ?? new Standings(NONE, NONE, new Uint8Array(0));
  }

  get length(): number {
    return this.sequences.length;
  }

  at(index: number): Standing {
    return { source: this.sources?.[index] ?? 0, sequence: this.sequences[index] ?? 0, at: this.times?.[index] ?? 0 };
  }

  slice(from: number, to: number): Standing[] {
    const lines: Standing[] = [];
    for (let index = from; index < Math.min(to, this.length); index++) lines.push(this.at(index));
    return lines;
  }

  /** How many stand before a line. */
  before(line: Standing): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(middle, line) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Index of the last that stands at a line or before it; -1 when there is none. */
  upTo(line: Standing): number {
    const before = this.before(line);
    return before < this.length && this.compare(before, line) === 0 ? before : before - 1;
  }

  /** Where a line is; -1 when it is not among them. */
  indexOf(line: Standing): number {
    const index = this.upTo(line);
    return index >= 0 && this.compare(index, line) === 0 ? index : -1;
  }

  /** The same, though the line may stand at another time by now: where its clock had stepped back, and it was not here. */
  find(line: Standing): number {
    const index = this.indexOf(line);
    return index >= 0 || this.times === null ? index : this.sequences.findIndex((sequence, at) => sequence === line.sequence && this.sources?.[at] === line.source);
  }

  /** Whether these begin with all of the others: lines came at the end alone. */
  beginsWith(others: Standings): boolean {
    const last = others.length - 1;
    return last < this.length && (last < 0 || (this.compare(0, others.at(0)) === 0 && this.compare(last, others.at(last)) === 0));
  }

  private compare(index: number, { source, sequence, at }: Standing): number {
    if (this.times !== null && this.sources !== null) {
      const apart = (this.times[index] as number) - at || (this.sources[index] as number) - source;
      if (apart !== 0) return apart;
    }
    return (this.sequences[index] as number) - sequence;
  }
}

/** All of two lists of one job, once each; of what is in both, the first list's time. */
export function united(one: Timed, other: Timed): Timed {
  if (one.sequences.length === 0) return other;
  if (other.sequences.length === 0) return one;
  const [mine, theirs] = [one.sequences, other.sequences];
  const sequences = new Float64Array(mine.length + theirs.length);
  const times = one.times === null || other.times === null ? null : new Float64Array(sequences.length);
  let [a, b, length] = [0, 0, 0];
  while (a < mine.length || b < theirs.length) {
    const [x, y] = [mine[a] ?? Number.POSITIVE_INFINITY, theirs[b] ?? Number.POSITIVE_INFINITY];
    sequences[length] = Math.min(x, y);
    if (times !== null) times[length] = ((x <= y ? one.times?.[a] : other.times?.[b]) as number);
    length++;
    if (x <= y) a++;
    if (y <= x) b++;
  }
  return { sequences: sequences.slice(0, length), times: times?.slice(0, length) ?? null };
}

function ordered({ sequences, times }: Timed, source: number): Standings {
  const own = times ?? new Float64Array(sequences.length);
  const sources = new Uint8Array(sequences.length).fill(source);
  if (own.every((time, at) => at === 0 || time >= (own[at - 1] as number))) return new Standings(sequences, own, sources);
  const order = Uint32Array.from(sequences, (_, at) => at).sort((a, b) => (own[a] as number) - (own[b] as number) || a - b);
  return new Standings(Float64Array.from(order, (at) => sequences[at] as number), Float64Array.from(order, (at) => own[at] as number), sources);
}

/** Two lists as one; jobs of the first stand before those of the other. */
function joined(one: Standings, other: Standings): Standings {
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
  return new Standings(sequences, times, sources);
}
