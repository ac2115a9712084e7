/**
 * The search of one job, or of several as one, and its results: queries, matches, errors. It knows no rows and no
 * scrolling.
 */
import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { JobFacts } from "../engine/messages";
import type { Finder } from "../index/finder";
import { type FoundLines, LinePositions, NO_NUMBERS } from "../index/linePositions";
import { expressionOf, MATCH_ALL, type Query } from "../index/query";
import type { LinePosition } from "../log/mergeOrder";
import { JobSearch, type KnownFrom } from "./jobSearch";
import { type KnownFromPosition, MatchNavigator, NOTHING_KNOWN } from "./matchNavigator";
import { type Progress, Searcher } from "./remoteSearch";

/** What a search bar needs. */
export interface Searchable {
  readonly find: SearchController;
  search(query: Query, filtering: boolean): void;
  step(by: 1 | -1): void;
  stepError(by: 1 | -1): void;
  focus(): void;
}

/** Events by which a person moves in a pane; they cancel a pending move to a match. */
export const MOVE_EVENTS = ["wheel", "touchmove", "pointerdown", "keydown"] as const;

/** Hide a stream or the frames of stack traces, or show them again. */
export function toggleHidden(view: Pick<Searchable, "find" | "search">, what: "stdout" | "stderr" | "frames"): void {
  const query = view.find.query.peek();
  const hide = query.hide.includes(what) ? query.hide.filter((one) => one !== what) : [...query.hide, what];
  view.search({ ...query, hide }, view.find.filtering.peek());
}

export interface SearchEvents {
  facts(job: string): JobFacts | null;
  /** Load the whole job. */
  loadAll(job: string): void;
  /** A search began. */
  began(): void;
  /** Matches arrived. */
  found(lines: LinePositions): void;
  /** The search ended. */
  ended(): void;
  /** All errors so far. */
  errors(lines: LinePositions): void;
  /** Return the first and last line in view; null when matches are not shown by themselves. */
  seen(): readonly [LinePosition, LinePosition] | null;
  /** Go to a match or an error. */
  go(line: LinePosition): void;
}

/** A search on the service, of one job or several. */
export interface SearchProgress extends Progress {
  /** Names of jobs that could not be searched completely; empty when that is clear without them. */
  readonly missed: string;
}

/** Merges the results of several jobs. Passed in, so that a page with one job does not load it. */
export interface ResultMerger {
  order(parts: readonly FoundLines[]): LinePositions;
  progress(parts: readonly (Progress | null)[]): SearchProgress | null;
}

export interface SearchResult {
  readonly list: LinePositions;
  /** Lines that the tab searched, and how long that took. */
  readonly lines: number;
  readonly ms: number;
}

/** Merge the results of several jobs at most this often. */
const ORDER_MS = 250;

export class SearchController {
  readonly query = signal<Query>(MATCH_ALL);
  /** Only matching lines are shown. */
  readonly filtering = signal(false);
  readonly found: Signal<SearchResult | null> = signal(null);
  /** The text that `found` belongs to. */
  readonly foundFor = signal("");
  readonly searching = signal(false);
  readonly problem = signal<string | null>(null);
  /** Index of the current match, -1 for none. */
  readonly at = signal(-1);
  readonly errors = signal(new LinePositions(NO_NUMBERS));
  /** Lines that the indexer has read. */
  readonly indexedLines = signal(0);
  /** The tab has not yet searched everything that it will. */
  readonly unsure = signal(false);
  /** The whole of a job is being loaded. */
  readonly loading = signal(false);
  /** Why, when only the tab can search for this. */
  readonly reason = signal<string | null>(null);
  readonly count = computed(() => this.found.value?.list.length ?? 0);
  readonly progress: ReadonlySignal<SearchProgress | null>;
  readonly errorsProgress: ReadonlySignal<SearchProgress | null>;
  /** The query's expression, to mark matches in drawn rows. */
  expression: RegExp | null = null;
  private readonly searcher: Searcher;
  private readonly searches: readonly JobSearch[];
  private readonly matches = new MatchNavigator(
    () => this.list,
    () => this.sureFrom(({ sureFrom }) => sureFrom),
    (index) => {
      this.fresh = false;
      this.at.value = index;
      this.events.go(this.list.at(index));
    },
  );
  private readonly failures = new MatchNavigator(
    () => this.errors.peek(),
    () => this.sureFrom(({ errorsSureFrom }) => errorsSureFrom),
    (index) => this.events.go(this.errors.peek().at(index)),
  );
  /** No match was shown since the query was typed. */
  private fresh = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly ordering: {
    found?: ReturnType<typeof setTimeout> | undefined;
    errors?: ReturnType<typeof setTimeout> | undefined;
  } = {};

  constructor(
    private readonly jobs: readonly string[],
    finder: Finder,
    api: string,
    /** Null for one job. */
    private readonly merger: ResultMerger | null,
    private readonly events: SearchEvents,
  ) {
    this.searcher = new Searcher(api);
    this.searches = jobs.map(
      (job) =>
        new JobSearch(
          job,
          finder,
          this.searcher,
          {
            facts: () => events.facts(job),
            loadAll: () => events.loadAll(job),
            found: () => this.schedule("found"),
            errors: () => this.schedule("errors"),
            failed: (message) => this.stopWith(message),
          },
          merger !== null,
        ),
    );
    this.progress = computed(() => this.searched(this.searches.map(({ remote }) => remote.progress.value)));
    this.errorsProgress = computed(() =>
      this.searched(this.searches.map(({ remoteErrors }) => remoteErrors.progress.value)),
    );
  }

  destroy(): void {
    clearTimeout(this.timer);
    clearTimeout(this.ordering.found);
    clearTimeout(this.ordering.errors);
    this.searcher.destroy();
    for (const search of this.searches) search.destroy();
  }

  /** Whether lines that do not match are hidden. */
  get narrows(): boolean {
    const { hide, level } = this.query.peek();
    return this.filtering.peek() || hide.length > 0 || level > 0;
  }

  get list(): LinePositions {
    return this.found.peek()?.list ?? EMPTY;
  }

  /** Number of entries to search. */
  get length(): number {
    return this.jobs.reduce((sum, job) => {
      const facts = this.events.facts(job);
      return sum + (facts === null ? 0 : facts.tip - facts.gone);
    }, 0);
  }

  search(query: Query, filtering: boolean): void {
    if (sameQuery(query, this.query.peek()) && (this.found.peek() !== null || this.searching.peek())) {
      // Show all lines or only the matches: nothing new to search.
      this.filtering.value = filtering;
      if (this.fresh) this.matches.cancel();
      if (this.found.peek() !== null) this.publish();
      return;
    }
    let wrong: string | null = null;
    try {
      this.expression = expressionOf(query);
    } catch (error) {
      wrong = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error);
      this.expression = null;
    }
    const idle = wrong !== null || (query.text === "" && query.level === 0 && query.hide.length === 0);
    batch(() => {
      this.query.value = query;
      this.filtering.value = filtering;
      this.problem.value = wrong;
      this.at.value = -1;
      this.searching.value = !idle;
      if (idle) this.found.value = null;
    });
    this.matches.cancel();
    this.fresh = query.text !== "";
    for (const search of this.searches) {
      if (idle) search.end();
      else search.begin(query);
    }
    this.updateLoading();
    if (idle) this.events.ended();
    else this.events.began();
  }

  /** Load everything, for a search that found too much on the service, or failed there. */
  loadAll(): void {
    for (const search of this.searches) search.loadAll();
    this.updateLoading();
    this.schedule("found");
  }

  /** Go to the next or previous match from a line. */
  step(from: LinePosition, by: 1 | -1): void {
    this.matches.step(from, by);
  }

  /**
   * Go to the next or previous error. The first request also asks the service for errors in lines that are not loaded.
   */
  stepError(from: LinePosition, by: 1 | -1): void {
    for (const search of this.searches) search.askErrors();
    this.failures.step(from, by);
  }

  /** Cancel pending moves, because the person moved. */
  cancelNavigation(): void {
    this.fresh = false;
    this.matches.cancel();
    this.failures.cancel();
  }

  /** Rows were drawn: a match may be in view. */
  drawn(): void {
    if (this.fresh && this.found.peek() !== null) this.navigate();
  }

  /** More of a job is loaded or known. */
  jobChanged(job: string): void {
    const search = this.searches[this.jobs.indexOf(job)];
    if (search === undefined) return;
    search.jobChanged();
    this.updateLoading();
    if (this.found.peek() === null) return;
    this.navigate();
    this.failures.update();
  }

  index(): void {
    for (const search of this.searches) search.index();
  }

  indexSoon(): void {
    this.timer ??= setTimeout(() => this.index(), 400);
  }

  /** Make the reader's line the current match, if it is one. */
  reached(line: LinePosition | null): void {
    if (line !== null) this.at.value = this.list.indexOf(line);
  }

  /** The tab cannot search for this: the expression is at fault, for every job. */
  private stopWith(message: string): void {
    for (const search of this.searches) search.end();
    batch(() => {
      this.problem.value = message;
      this.searching.value = false;
      this.found.value = null;
    });
  }

  private schedule(what: "found" | "errors"): void {
    const order = (): void => {
      this.ordering[what] = undefined;
      this[what === "found" ? "publishMatches" : "publishErrors"]();
    };
    if (this.merger === null) order();
    // A query that was just typed is answered as soon as all jobs have answered.
    else if (what === "found" && this.searching.peek()) this.publishMatches();
    else this.ordering[what] ??= setTimeout(order, ORDER_MS);
  }

  /** Merge what the tab and the service found. */
  private publishMatches(): void {
    const parts = this.searches.flatMap(({ found }) => found ?? []);
    if (parts.length < this.searches.length) return;
    batch(() => {
      this.searching.value = false;
      this.foundFor.value = this.query.peek().text;
      this.found.value = {
        list: this.merge(parts),
        lines: this.searches.reduce((sum, { lines }) => sum + lines, 0),
        ms: Math.max(...this.searches.map(({ ms }) => ms)),
      };
    });
    this.publish();
  }

  private publish(): void {
    this.updateLoading();
    this.events.found(this.list);
    this.navigate();
  }

  /**
   * Go to the nearest match at or above the lines in view, as every pager does. A reader at the end sees the last ones.
   */
  private navigate(): void {
    this.unsure.value = this.sureFrom(({ sureFrom }) => sureFrom) !== null;
    const seen = this.fresh && this.list.length > 0 ? this.events.seen() : null;
    if (seen === null) {
      this.matches.update();
      return;
    }
    const [first, last] = seen;
    if (this.list.upTo(last) >= this.list.before(first)) this.fresh = false;
    else if (this.list.upTo(last) >= 0) this.matches.step({ ...last, sequence: last.sequence + 0.5 }, -1);
  }

  private publishErrors(): void {
    const parts = this.searches.map(({ errors }) => errors);
    batch(() => {
      this.errors.value = this.merge(parts);
      this.indexedLines.value = this.searches.reduce((sum, { lines }) => sum + lines, 0);
    });
    this.events.errors(this.errors.peek());
    this.failures.update();
  }

  private merge(parts: readonly FoundLines[]): LinePositions {
    return this.merger === null ? new LinePositions(parts[0]?.sequences ?? NO_NUMBERS) : this.merger.order(parts);
  }

  private searched(parts: readonly (Progress | null)[]): SearchProgress | null {
    if (this.merger !== null) return this.merger.progress(parts);
    return parts[0] == null ? null : { ...parts[0], missed: "" };
  }

  private updateLoading(): void {
    this.loading.value = this.searches.some(({ loading }) => loading);
    this.reason.value = this.searches.find(({ reason }) => reason !== null)?.reason ?? null;
  }

  /** Return from where on the results of all jobs are complete. */
  private sureFrom(of: (search: JobSearch) => KnownFrom | null): KnownFromPosition {
    const parts = this.searches.flatMap((search) => of(search) ?? []);
    const [own] = parts;
    if (own === undefined) return null;
    if (this.merger === null) return { ...NOTHING_KNOWN, sequence: own.from };
    return { source: 0, sequence: 0, at: Math.max(...parts.map(({ since }) => since)) };
  }
}

const EMPTY = new LinePositions(NO_NUMBERS);

function sameQuery(one: Query, other: Query): boolean {
  const { text, regex, matchCase, word, level, hide } = one;
  return (
    text === other.text &&
    regex === other.regex &&
    matchCase === other.matchCase &&
    word === other.word &&
    level === other.level &&
    hide.join() === other.hide.join()
  );
}
