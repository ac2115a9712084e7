/** The search of one job: the tab searches loaded lines, the service the others. */
import type { JobFacts } from "../engine/messages";
import type { Finder, Found } from "../index/finder";
import { type FoundLines, NO_LINES, union } from "../index/linePositions";
import { MATCH_ALL, type Query } from "../index/query";
import { ERROR } from "../text/levelNames";
import { RemoteSearch, type Searcher } from "./remoteSearch";

/** With more lines than these missing, the service searches them at once, instead of loading them first. */
const LOADED_SOON = 20_000;

/** The older part of a job, if it is long and not loaded: its range, and the time (µs) from which on all is loaded. */
interface RemoteRange {
  readonly first: number;
  readonly last: number;
  readonly since: number;
}

/** From where on all matches are known: a sequence, and a time in µs. */
export interface KnownFrom {
  readonly from: number;
  readonly since: number;
}

/**
 * What was loaded when a question was asked: once the tab has read this many lines, its answer is complete from there
 * on.
 */
interface KnownLines extends KnownFrom {
  readonly lines: number;
}

function knownLines({ received, tail, since }: JobFacts): KnownLines {
  return { lines: received, from: tail ?? 0, since };
}

/** Return the part for the service to search; null when little is missing. */
export function remoteRange(facts: JobFacts | null): RemoteRange | null {
  if (facts === null || facts.tail === null || facts.tip - facts.received - facts.gone < LOADED_SOON) return null;
  return { first: facts.gone + 1, last: facts.tail - 1, since: facts.since };
}

export interface JobSearchDeps {
  facts(): JobFacts | null;
  /** Load the whole job. */
  loadAll(): void;
  found(): void;
  errors(): void;
  /** The tab cannot search for this. */
  failed(message: string): void;
}

export class JobSearch {
  readonly remote: RemoteSearch;
  /** Errors in lines that are not loaded, once they were asked for. */
  readonly remoteErrors: RemoteSearch;
  /** Why the whole job is loaded, when only the tab can search for this. */
  reason: string | null = null;
  /** The whole job is loaded, for this search or on request. */
  loading = false;
  /** Lines that the indexer has read. */
  lines = 0;
  /** How long the tab took to search the loaded lines. */
  ms = 0;
  private query: Query | null = null;
  private local: FoundLines | null = null;
  private localErrors: FoundLines = NO_LINES;
  private indexed = false;
  private known: KnownLines | null = null;
  private knownErrors: KnownLines | null = null;
  /** Loaded entries when none was missing for the first time. */
  private all: number | null = null;

  constructor(
    readonly job: string,
    private readonly finder: Finder,
    searcher: Searcher,
    private readonly deps: JobSearchDeps,
    /** Several jobs are searched: lines carry their times, and lines that only a filter hides are not loaded. */
    private readonly timed: boolean,
  ) {
    this.remote = new RemoteSearch(
      job,
      searcher,
      () => this.local !== null && deps.found(),
      (reason) => this.searchLocally(reason),
    );
    this.remoteErrors = new RemoteSearch(job, searcher, () => deps.errors());
  }

  destroy(): void {
    if (this.indexed) this.finder.forget(this.job);
  }

  /** Start indexing, when it is first needed or when the page is idle. */
  index(): void {
    if (this.indexed) return;
    this.indexed = true;
    this.finder.index(this.job, {
      timed: this.timed,
      hits: (found) => this.hits(found),
      errors: (found, lines) => {
        [this.localErrors, this.lines] = [found, lines];
        this.deps.errors();
      },
      failed: (message) => this.deps.failed(message),
    });
  }

  begin(query: Query): void {
    this.end();
    this.query = query;
    this.index();
    this.finder.search(this.job, query);
    this.ask();
  }

  end(): void {
    if (this.query !== null) this.finder.search(this.job, null);
    [this.query, this.local, this.known, this.reason, this.loading] = [null, null, null, null, false];
    this.remote.stop();
  }

  /** More of the job is loaded or known. */
  jobChanged(): void {
    const facts = this.deps.facts();
    if (this.all === null && facts !== null && facts.tip > 0 && facts.received + facts.gone >= facts.tip)
      this.all = facts.received;
    this.ask();
  }

  loadAll(): void {
    this.loading = true;
    this.remote.stop();
    this.deps.loadAll();
  }

  askErrors(): void {
    this.index();
    const { remoteRange } = this;
    const facts = this.deps.facts();
    if (facts !== null) this.knownErrors ??= knownLines(facts);
    if (remoteRange !== null && this.remoteErrors.progress.peek() === null)
      this.remoteErrors.begin({ ...MATCH_ALL, level: ERROR }, remoteRange.first, remoteRange.last, remoteRange.since);
  }

  /** Null until the tab has searched. */
  get found(): FoundLines | null {
    return this.local === null ? null : union(this.local, this.remote.found);
  }

  get errors(): FoundLines {
    return union(this.localErrors, this.remoteErrors.found);
  }

  /** From where on all matches are known. Null when all are, or when no more will come. */
  get sureFrom(): KnownFrom | null {
    if (this.local === null || this.known === null || this.lines < this.known.lines) return this.unknown;
    return this.sureWith(this.remote, this.known);
  }

  get errorsSureFrom(): KnownFrom | null {
    if (this.knownErrors === null || this.lines < this.knownErrors.lines) return this.unknown;
    return this.sureWith(this.remoteErrors, this.knownErrors);
  }

  /** Nothing is known, unless the job cannot be read: then there is nothing to wait for. */
  private get unknown(): KnownFrom | null {
    return this.deps.facts()?.problem == null
      ? { from: Number.POSITIVE_INFINITY, since: Number.POSITIVE_INFINITY }
      : null;
  }

  private sureWith(remote: RemoteSearch, known: KnownFrom): KnownFrom | null {
    const state = remote.progress.peek()?.state;
    if (state === "searching") return { from: remote.sureFrom, since: Math.min(known.since, remote.since) };
    if (state !== undefined || (this.all !== null && this.lines >= this.all) || this.deps.facts()?.problem != null)
      return null;
    return known;
  }

  /** Ask for the lines that are not loaded, once it is known which those are. */
  private ask(): void {
    const facts = this.deps.facts();
    if (
      this.query === null ||
      this.known !== null ||
      facts === null ||
      (facts.tail === null && facts.problem === null && !facts.caughtUp)
    )
      return;
    const { query, remoteRange } = this;
    this.known = knownLines(facts);
    if (remoteRange === null) this.deps.loadAll();
    else this.remote.begin(query, remoteRange.first, remoteRange.last, remoteRange.since);
  }

  /** Load the whole job, because only the tab can search for this. */
  private searchLocally(reason: string): void {
    const { remoteRange } = this;
    if (this.timed && this.query?.text === "")
      this.remote.refuse(remoteRange === null ? 0 : remoteRange.last - remoteRange.first + 1, reason);
    else {
      this.loading = true;
      this.reason = reason;
      this.deps.loadAll();
    }
    if (this.local !== null) this.deps.found();
  }

  private get remoteRange(): RemoteRange | null {
    return remoteRange(this.deps.facts());
  }

  private hits({ found, lines, ms }: Found): void {
    [this.local, this.lines] = [found, Math.max(this.lines, lines)];
    if (ms > 0) this.ms = ms;
    this.deps.found();
  }
}
