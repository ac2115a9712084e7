/** What is looked for in one job and what was found: queries, matches, errors, and the indexing that they need. No rows, no scrolling. */
import { batch, computed, signal } from "@preact/signals";
import type { Finder, Found } from "../index/finder";
import { EVERYTHING, expressionOf, type Query } from "../index/segment";
import { exact } from "../index/sorted";

export const NONE = new Float64Array(0);

export interface FindingEvents {
  /** A search began that wants all of the job. */
  began(): void;
  /** Matches came; `first` when they are the first of their query. */
  found(sequences: Float64Array, first: boolean): void;
  /** Nothing is looked for any more. */
  over(): void;
  /** Sequences of all errors so far. */
  errors(sequences: Float64Array): void;
}

export class Finding {
  readonly query = signal<Query>(EVERYTHING);
  /** Only matching lines are shown. */
  readonly filtering = signal(false);
  readonly found = signal<Found | null>(null);
  /** The text that `found` is of. */
  readonly foundFor = signal("");
  readonly searching = signal(false);
  readonly problem = signal<string | null>(null);
  /** Index into the found sequences, -1 for none. */
  readonly at = signal(-1);
  readonly errors = signal<Float64Array>(NONE);
  /** Lines that the indexer has read. */
  readonly indexedLines = signal(0);
  readonly count = computed(() => this.found.value?.sequences.length ?? 0);
  /** What the query means, for marking matches in what is drawn. */
  expression: RegExp | null = null;
  private indexed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly job: string,
    private readonly finder: Finder,
    private readonly events: FindingEvents,
  ) {}

  destroy(): void {
    clearTimeout(this.timer);
    if (this.indexed) this.finder.forget(this.job);
  }

  /** Whether lines that do not match are left out. */
  get narrows(): boolean {
    const { hide, level } = this.query.peek();
    return this.filtering.peek() || hide.length > 0 || level > 0;
  }

  get sequences(): Float64Array {
    return this.found.peek()?.sequences ?? NONE;
  }

  search(query: Query, filtering: boolean): void {
    let wrong: string | null = null;
    try {
      this.expression = expressionOf(query);
    } catch (error) {
      wrong = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error);
      this.expression = null;
    }
    const idle = query.text === "" && query.level === 0 && query.hide.length === 0;
    batch(() => {
      this.query.value = query;
      this.filtering.value = filtering;
      this.problem.value = wrong;
      this.at.value = -1;
      this.searching.value = !idle && wrong === null;
      if (idle || wrong !== null) this.found.value = null;
    });
    this.index();
    clearTimeout(this.timer);
    if (idle || wrong !== null) {
      this.finder.search(this.job, null);
      this.events.over();
      return;
    }
    this.events.began();
    this.finder.search(this.job, query);
  }

  /** The first entry at or after a time, µs. */
  sequenceAt(time: number): Promise<number | null> {
    this.index();
    return this.finder.timeToSequence(this.job, time);
  }

  /** Indexing begins when it is first needed, or when the page has nothing else to do. */
  index(): void {
    if (this.indexed) return;
    this.indexed = true;
    this.finder.index(this.job, {
      hits: (found) => this.hits(found),
      errors: (sequences, lines) => {
        this.errors.value = sequences;
        this.indexedLines.value = lines;
        this.events.errors(sequences);
      },
      failed: (message) => {
        batch(() => {
          this.problem.value = message;
          this.searching.value = false;
          this.found.value = null;
        });
      },
    });
  }

  indexSoon(): void {
    if (!this.indexed && this.timer === undefined) this.timer = setTimeout(() => this.index(), 400);
  }

  /** The reader is at this sequence: if it is a match, it is the current one. */
  reached(sequence: number | null): void {
    if (sequence !== null) this.at.value = exact(this.sequences, sequence);
  }

  private hits(found: Found): void {
    const kept = this.found.peek();
    const first = kept === null || this.searching.peek();
    batch(() => {
      this.searching.value = false;
      this.foundFor.value = this.query.peek().text;
      this.found.value = found.ms === 0 && kept !== null ? { ...found, ms: kept.ms } : found;
    });
    this.events.found(found.sequences, first);
  }
}
