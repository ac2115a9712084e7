/** What is looked for in one job and what was found: queries, matches, errors, and the indexing that they need. No rows, no scrolling. */
import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Finder, Found } from "../index/finder";
import { EVERYTHING, expressionOf, type Query } from "../index/segment";
import { exact, united } from "../index/sorted";
import { type Progress, RemoteSearch } from "../search/remote";
import { whyHere } from "../search/re2";
import { ERROR } from "../text/levels";

export const NONE = new Float64Array(0);

/** What a search bar shows of a search, in one job or in several merged. `found` holds sequences or places, ascending. */
export interface Findings {
  readonly query: Signal<Query>;
  readonly filtering: Signal<boolean>;
  readonly found: Signal<Found | null>;
  readonly foundFor: Signal<string>;
  readonly searching: Signal<boolean>;
  readonly loading: Signal<boolean>;
  readonly problem: Signal<string | null>;
  /** Why all is loaded for this, where only the tab can search. */
  readonly reason: ReadonlySignal<string | null>;
  readonly at: Signal<number>;
  readonly count: ReadonlySignal<number>;
  readonly errors: Signal<Float64Array>;
  readonly indexedLines: Signal<number>;
  readonly remote: { readonly progress: ReadonlySignal<Progress | null> };
  readonly remoteErrors: { readonly progress: ReadonlySignal<Progress | null> };
}

/** What a search bar asks for. */
export interface Searchable {
  readonly find: Findings;
  /** Entries that there are. */
  readonly length: number;
  search(query: Query, filtering: boolean): void;
  step(by: 1 | -1): void;
  stepError(by: 1 | -1): void;
  loadAll(): void;
  focus(): void;
}

/** Leaves a stream out, or the frames of stack traces; or shows them again. */
export function toggle(view: Pick<Searchable, "find" | "search">, what: "stdout" | "stderr" | "frames"): void {
  const query = view.find.query.peek();
  const hide = query.hide.includes(what) ? query.hide.filter((one) => one !== what) : [...query.hide, what];
  view.search({ ...query, hide }, view.find.filtering.peek());
}

export interface FindingEvents {
  /** The part of the job that is not here, if it is long: it is searched on the service. */
  away(): { first: number; last: number } | null;
  /** All of the job is to be loaded. */
  whole(): void;
  /** A search began. */
  began(): void;
  /** Matches came; `fresh` while nothing was gone to since the query was typed. */
  found(sequences: Float64Array, fresh: boolean): void;
  /** Nothing is looked for any more. */
  over(): void;
  /** Sequences of all errors so far. */
  errors(sequences: Float64Array): void;
}

export class Finding implements Findings {
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
  readonly remote: RemoteSearch;
  /** Errors in what is not here, once they were asked for. */
  readonly remoteErrors: RemoteSearch;
  /** Only the tab can search for this, so everything is loaded for it. */
  readonly loading = signal(false);
  readonly reason = signal<string | null>(null);
  /** What the indexer found. */
  private local: Found | null = null;
  private localErrors: Float64Array = NONE;
  private fresh = false;
  private indexed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly job: string,
    private readonly finder: Finder,
    api: string,
    private readonly events: FindingEvents,
  ) {
    this.remote = new RemoteSearch(job, api, () => this.combine());
    this.remoteErrors = new RemoteSearch(job, api, () => this.combineErrors());
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.remote.destroy();
    this.remoteErrors.destroy();
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
    if (sameQuery(query, this.query.peek()) && (this.local !== null || this.searching.peek())) {
      // All lines, or only those that match: nothing new is to be found.
      this.filtering.value = filtering;
      this.combine();
      return;
    }
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
      this.loading.value = false;
      this.reason.value = null;
      if (idle || wrong !== null) this.found.value = null;
    });
    this.index();
    clearTimeout(this.timer);
    this.local = null;
    this.remote.stop();
    if (idle || wrong !== null) {
      this.finder.search(this.job, null);
      this.events.over();
      return;
    }
    this.fresh = query.text !== "";
    this.finder.search(this.job, query);
    const away = this.events.away();
    if (away === null) this.events.whole();
    else if (!this.remote.begin(query, away.first, away.last)) {
      this.loading.value = true;
      this.reason.value = whyHere(query);
      this.events.whole();
    }
    this.events.began();
  }

  /** Loads all there is, for a search that found too much elsewhere, or failed there. */
  loadAll(): void {
    this.loading.value = true;
    this.remote.stop();
    this.events.whole();
    this.combine();
  }

  /** Something was gone to. */
  settled(): void {
    this.fresh = false;
  }

  /** The first question about errors is about all of them: those of what is not here are asked for as well. */
  askErrors(): void {
    this.index();
    const away = this.events.away();
    if (away !== null && this.remoteErrors.progress.peek() === null) this.remoteErrors.begin({ ...EVERYTHING, level: ERROR }, away.first, away.last);
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
        this.localErrors = sequences;
        this.indexedLines.value = lines;
        this.combineErrors();
      },
      failed: (message) => {
        this.local = null;
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
    const kept = this.local;
    this.local = found.ms === 0 && kept !== null ? { ...found, ms: kept.ms } : found;
    this.combine();
  }

  /** What the tab found, and what the service did. */
  private combine(): void {
    const { local } = this;
    if (local === null) return;
    const sequences = united(local.sequences, this.remote.sequences);
    batch(() => {
      this.searching.value = false;
      this.foundFor.value = this.query.peek().text;
      this.found.value = { ...local, sequences };
    });
    this.events.found(sequences, this.fresh);
  }

  private combineErrors(): void {
    this.errors.value = united(this.localErrors, this.remoteErrors.sequences);
    this.events.errors(this.errors.peek());
  }
}

function sameQuery(one: Query, other: Query): boolean {
  const { text, regex, matchCase, word, level, hide } = one;
  return (
    text === other.text && regex === other.regex && matchCase === other.matchCase && word === other.word && level === other.level && hide.join() === other.hide.join()
  );
}
