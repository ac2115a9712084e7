/** Several jobs as one list, by time. Within a job the sequence rules, even where its host's clock stepped back. */
import type { Standings } from "../index/linePositions";
import type { Spans } from "../live/sequenceRanges";
import type { Standing } from "../log/mergeOrder";
import type { Hole, Row, Window } from "../log/row";
import { rowAt } from "../log/rows";
import type { Store } from "../log/store";

export interface Merged {
  readonly store: Store;
  readonly feed: {
    readonly gone: Spans;
    /** From here on everything comes by itself. */
    readonly floor: number;
  };
}

/** A row's identity among several jobs, exact for any sequence that is. */
export const MOST_JOBS = 64;

export class Merge {
  private times = new Float64Array(0);
  private who = new Uint8Array(0);
  private sequences = new Float64Array(0);
  private readonly taken: Set<number>[];
  revision = 0;

  constructor(private readonly jobs: readonly Merged[]) {
    this.taken = jobs.map(() => new Set<number>());
  }

  get total(): number {
    return this.times.length;
  }

  /** Takes what came since; tells the first place that is not what it was, null when nothing came. */
  update(): number | null {
    const [times, who, sequences]: [number[], number[], number[]] = [[], [], []];
    for (const [index, { store }] of this.jobs.entries()) {
      const taken = this.taken[index] as Set<number>;
      for (const batch of store.all) {
        if (taken.has(batch.first)) continue;
        taken.add(batch.first);
        const { columns, broken } = store.unpack(batch);
        if (broken !== null) {
          // One row says that these entries are there and cannot be read.
          times.push(batch.start);
          who.push(index);
          sequences.push(batch.first);
        }
        let latest = 0;
        for (let offset = 0; offset < columns.texts.length; offset++) {
          latest = Math.max(latest, columns.times[offset] as number);
          const stream = columns.streams[offset];
          if (stream === "O" || stream === "E") continue;
          times.push(latest);
          who.push(index);
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

  /** Merges sorted news from the end, so that the usual case, all of it at the end, moves nothing. */
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

  at(place: number): Standing {
    return { source: this.who[place] ?? 0, sequence: this.sequences[place] ?? 0, at: this.times[place] ?? 0 };
  }

  private compare(place: number, time: number, source: number, sequence: number): number {
    return (
      (this.times[place] as number) - time ||
      (this.who[place] as number) - source ||
      (this.sequences[place] as number) - sequence
    );
  }

  rows(from: number, count: number): Window {
    const rows: Row[] = [];
    const end = Math.min(from + count, this.total);
    for (let place = Math.max(0, from); place < end; place++) {
      const index = this.who[place] as number;
      const { store, feed } = this.jobs[index] as Merged;
      const row = rowAt(store, feed.gone, this.sequences[place] as number, Number.POSITIVE_INFINITY);
      if (row === null) continue;
      const hole = holeAt(this.jobs[index] as Merged, row);
      rows.push({
        ...row,
        index: place,
        source: index,
        at: this.times[place] as number,
        ...(hole !== null && { hole }),
      });
    }
    return { from: Math.max(0, from), to: Math.max(from, end), total: this.total, rows };
  }

  /** The places of lines that stand in their order; of one that is not here, where it would be. */
  locate(lines: Pick<Standings, "sequences" | "times" | "sources">): Float64Array {
    let place = 0;
    return lines.sequences.map((sequence, at) => {
      const [time, source] = [lines.times?.[at] ?? 0, lines.sources?.[at] ?? 0];
      while (place < this.total && this.compare(place, time, source, sequence) < 0) place++;
      return place;
    });
  }

  /** Where an entry is now; the place after it, when it is not here. */
  placeOf(source: number, sequence: number, time: number): number {
    let [low, high] = [0, this.total];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.times[middle] as number) < time) low = middle + 1;
      else high = middle;
    }
    for (let place = low; place < this.total; place++) {
      if (this.who[place] === source && this.sequences[place] === sequence) return place;
      if ((this.times[place] as number) > time) break;
    }
    // Its clock had stepped back: it stands later than its own time says.
    const found = this.sequences.findIndex((one, place) => one === sequence && this.who[place] === source);
    return found >= 0 ? found : low;
  }
}

/**
 * What is missing of a job next to one of its rows: the older part, at the first row that is here; or what lies between two parts that
 * are here, at the end of the first. What comes by itself is not told.
 */
function holeAt({ store, feed }: Merged, row: Row): Hole | null {
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
      feed.gone.list.reduce(
        (sum, { first, last }) => sum + (first <= before ? Math.min(last, before) - first + 1 : 0),
        0,
      ),
  };
}
