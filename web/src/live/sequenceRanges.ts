/** Sets of sequences, kept as sorted ranges that neither touch nor overlap. */

export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

export class SequenceRanges {
  private ranges: SequenceRange[] = [];
  private held = 0;

  get all(): readonly SequenceRange[] {
    return this.ranges;
  }

  /** Number of sequences in the set. */
  get count(): number {
    return this.held;
  }

  /** Add first..last, and return how many of them were new. */
  add(first: number, last: number): number {
    if (last < first) return 0;
    const before = this.held;
    // The usual case, the live edge: no search, no copy.
    const end = this.ranges.at(-1);
    if (end === undefined || first > end.last + 1) {
      this.ranges.push({ first, last });
      this.held += last - first + 1;
      return this.held - before;
    }
    const from = this.position(first - 1);
    let to = from;
    let [low, high] = [first, last];
    for (let span = this.ranges[to]; span !== undefined && span.first <= last + 1; span = this.ranges[++to]) {
      low = Math.min(low, span.first);
      high = Math.max(high, span.last);
      this.held -= span.last - span.first + 1;
    }
    this.ranges.splice(from, to - from, { first: low, last: high });
    this.held += high - low + 1;
    return this.held - before;
  }

  remove(first: number, last: number): void {
    const kept: SequenceRange[] = [];
    for (const span of this.ranges) {
      if (span.last < first || span.first > last) {
        kept.push(span);
        continue;
      }
      if (span.first < first) kept.push({ first: span.first, last: first - 1 });
      if (span.last > last) kept.push({ first: last + 1, last: span.last });
    }
    this.ranges = kept;
    this.held = kept.reduce((sum, span) => sum + span.last - span.first + 1, 0);
  }

  has(sequence: number): boolean {
    const span = this.ranges[this.position(sequence)];
    return span !== undefined && span.first <= sequence;
  }

  /** Return the parts of first..last that are not in the set, ascending. */
  missing(first: number, last: number): SequenceRange[] {
    const holes: SequenceRange[] = [];
    let next = first;
    for (let at = this.position(first); next <= last; at++) {
      const span = this.ranges[at];
      if (span === undefined || span.first > last) break;
      if (span.first > next) holes.push({ first: next, last: span.first - 1 });
      next = Math.max(next, span.last + 1);
    }
    if (next <= last) holes.push({ first: next, last });
    return holes;
  }

  /** Return the index of the first range that ends at or after `sequence`. */
  private position(sequence: number): number {
    let [low, high] = [0, this.ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.ranges[middle] as SequenceRange).last < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
