/**
 * Several jobs as one list ordered by time. Within a job the sequence decides, even if its host's clock stepped back.
 */
import type { LinePositions } from "../index/linePositions";
import type { SequenceRanges } from "../live/sequenceRanges";
import type { LinePosition } from "../log/mergeOrder";
import type { MissingLines, Row, RowWindow } from "../log/row";
import { rowAt } from "../log/rows";
import type { Store } from "../log/store";

export interface MergeSource {
  readonly store: Store;
  readonly feed: {
    readonly gone: SequenceRanges;
    /** From here on all entries load without a request. */
    readonly floor: number;
  };
}

/** Most jobs in one merged list; a row's source fits one byte. */
export const MAX_JOBS = 64;

export class MergedList {
  private times = new Float64Array(0);
  private who = new Uint8Array(0);
  private sequences = new Float64Array(0);
  private readonly taken: Set<number>[];
  revision = 0;

  constructor(private readonly jobs: readonly MergeSource[]) {
    this.taken = jobs.map(() => new Set<number>());
  }

  get total(): number {
    return this.times.length;
  }

  /** Add newly loaded batches, and return the first index that changed, or null when nothing was added. */
  update(): number | null {
    const [times, who, sequences]: [number[], number[], number[]] = [[], [], []];
    for (const [source, { store }] of this.jobs.entries()) {
      const taken = this.taken[source] as Set<number>;
      for (const batch of store.all) {
        if (taken.has(batch.first)) continue;
        taken.add(batch.first);
        const { columns, broken } = store.unpack(batch);
        if (broken !== null) {
          // One row stands for a batch that cannot be decoded.
          times.push(batch.start);
          who.push(source);
          sequences.push(batch.first);
        }
        let latest = 0;
        for (let offset = 0; offset < columns.texts.length; offset++) {
          latest = Math.max(latest, columns.times[offset] as number);
          const stream = columns.streams[offset];
          if (stream === "O" || stream === "E") continue;
          times.push(latest);
          who.push(source);
          sequences.push(batch.first + offset);
        }
      }
    }
    if (times.length === 0) return null;
    this.revision++;
    const order = Uint32Array.from(times, (_, at) => at).sort(
      (a, b) =>
        (times[a] as number) - (times[b] as number) ||
        (who[a] as number) - (who[b] as number) ||
        (sequences[a] as number) - (sequences[b] as number),
    );
    return this.insert(times, who, sequences, order);
  }

  /** Merge sorted new lines from the end: the usual case, all of them at the end, moves nothing. */
  private insert(times: number[], who: number[], sequences: number[], order: Uint32Array): number {
    const [old, fresh] = [this.times.length, order.length];
    const merged = {
      times: new Float64Array(old + fresh),
      who: new Uint8Array(old + fresh),
      sequences: new Float64Array(old + fresh),
    };
    merged.times.set(this.times);
    merged.who.set(this.who);
    merged.sequences.set(this.sequences);
    let [from, next, to] = [old - 1, fresh - 1, old + fresh - 1];
    for (; next >= 0; to--) {
      const news = order[next] as number;
      if (from >= 0 && this.compare(from, times[news] as number, who[news] as number, sequences[news] as number) > 0) {
        merged.times[to] = this.times[from] as number;
        merged.who[to] = this.who[from] as number;
        merged.sequences[to] = this.sequences[from] as number;
        from--;
      } else {
        merged.times[to] = times[news] as number;
        merged.who[to] = who[news] as number;
        merged.sequences[to] = sequences[news] as number;
        next--;
      }
    }
    [this.times, this.who, this.sequences] = [merged.times, merged.who, merged.sequences];
    return to + 1;
  }

  at(index: number): LinePosition {
    return { source: this.who[index] ?? 0, sequence: this.sequences[index] ?? 0, at: this.times[index] ?? 0 };
  }

  private compare(index: number, time: number, source: number, sequence: number): number {
    return (
      (this.times[index] as number) - time ||
      (this.who[index] as number) - source ||
      (this.sequences[index] as number) - sequence
    );
  }

  rows(from: number, count: number): RowWindow {
    const rows: Row[] = [];
    const end = Math.min(from + count, this.total);
    for (let index = Math.max(0, from); index < end; index++) {
      const source = this.who[index] as number;
      const { store, feed } = this.jobs[source] as MergeSource;
      const row = rowAt(store, feed.gone, this.sequences[index] as number, Number.POSITIVE_INFINITY);
      if (row === null) continue;
      const hole = missingBeside(this.jobs[source] as MergeSource, row);
      rows.push({
        ...row,
        index,
        source,
        at: this.times[index] as number,
        ...(hole !== null && { hole }),
      });
    }
    return { from: Math.max(0, from), to: Math.max(from, end), total: this.total, rows };
  }

  /**
   * Return the index of each line; for a line that is not loaded, the index where it would be. The lines must be
   * ordered.
   */
  locate(lines: Pick<LinePositions, "sequences" | "times" | "sources">): Float64Array {
    let index = 0;
    return lines.sequences.map((sequence, at) => {
      const [time, source] = [lines.times?.[at] ?? 0, lines.sources?.[at] ?? 0];
      while (index < this.total && this.compare(index, time, source, sequence) < 0) index++;
      return index;
    });
  }

  /** Return an entry's index; the index after it when it is not loaded. */
  indexOf(source: number, sequence: number, time: number): number {
    let [low, high] = [0, this.total];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.times[middle] as number) < time) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.total; index++) {
      if (this.who[index] === source && this.sequences[index] === sequence) return index;
      if ((this.times[index] as number) > time) break;
    }
    // Its clock stepped back: the list orders it later than its own time.
    const found = this.sequences.findIndex((one, index) => one === sequence && this.who[index] === source);
    return found >= 0 ? found : low;
  }
}

/**
 * Return what is missing next to a row: the older part, at the job's first loaded row, or the part between two loaded
 * ranges, at the end of the first. Ranges that load without a request are not reported.
 */
function missingBeside({ store, feed }: MergeSource, row: Row): MissingLines | null {
  const absent = (sequence: number): boolean =>
    sequence > 0 && sequence < feed.floor && store.holding(sequence) === null && !feed.gone.has(sequence);
  const next = (row.kind === "line" ? row.last : row.sequence) + 1;
  const following = absent(next) ? store.following(next) : null;
  if (following !== null) return { side: "after", count: following - next };
  const before = row.sequence - 1;
  if (store.all[0]?.first !== row.sequence || !absent(before)) return null;
  return {
    side: "before",
    count:
      before -
      feed.gone.all.reduce(
        (sum, { first, last }) => sum + (first <= before ? Math.min(last, before) - first + 1 : 0),
        0,
      ),
  };
}
