/** What is looked for in one job, and found: in the tab what is here, on the service what is not. */
import type { JobFacts } from "../engine/messages";
import type { Finder, Found } from "../index/finder";
import { type FoundLines, NO_LINES, union } from "../index/linePositions";
import { EVERYTHING, type Query } from "../index/query";
import { ERROR } from "../text/levelNames";
import { RemoteSearch, type Searcher } from "./remote";

/** More lines than these that are not here are searched on the service, at once, instead of being loaded first. */
const LOADED_SOON = 20_000;

/** The older part of a job, if it is long and not here: how far it goes, and what is here all from when on (µs). */
interface RemoteRange {
  readonly first: number;
  readonly last: number;
  readonly since: number;
}

/** From where on all is known: a sequence, and a time in µs. */
export interface KnownFrom {
  readonly from: number;
  readonly since: number;
}

/** What was here when something was asked: all that, and so many lines, the tab is to have read before it is sure. */
interface KnownLines extends KnownFrom {
  readonly lines: number;
}

function knownLines({ received, tail, since }: JobFacts): KnownLines {
  return { lines: received, from: tail ?? 0, since };
}

/** Null when there is little of it. */
export function remoteRange(facts: JobFacts | null): RemoteRange | null {
  if (facts === null || facts.tail === null || facts.tip - facts.received - facts.gone < LOADED_SOON) return null;
  return { first: facts.gone + 1, last: facts.tail - 1, since: facts.since };
}

export interface JobSearchDeps {
  facts(): JobFacts | null;
  /** All of the job is to be loaded. */
  loadAll(): void;
  found(): void;
  errors(): void;
  /** The tab cannot look for this. */
  failed(message: string): void;
}

export class JobSearch {
  readonly remote: RemoteSearch;
  /** Errors in what is not here, once they were asked for. */
  readonly remoteErrors: RemoteSearch;
  /** Why all is loaded for this, where only the tab can search for it. */
  reason: string | null = null;
  /** All is loaded, for this or because it was asked for. */
  loading = false;
  /** Lines that the indexer has read. */
  lines = 0;
  /** How long the tab took over what was here. */
  ms = 0;
  private query: Query | null = null;
  private local: FoundLines | null = null;
  private localErrors: FoundLines = NO_LINES;
  private indexed = false;
  private known: KnownLines | null = null;
  private knownErrors: KnownLines | null = null;
  /** Entries that were here when none was missing for the first time. */
  private all: number | null = null;

  constructor(
    readonly job: string,
    private readonly finder: Finder,
    searcher: Searcher,
    private readonly deps: JobSearchDeps,
    /** Of several jobs lines are told with their times, and what only filters leave out is not loaded to be told. */
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

  /** Indexing begins when it is first needed, or when the page has nothing else to do. */
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

  /** More of the job is here, or is known of. */
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
      this.remoteErrors.begin({ ...EVERYTHING, level: ERROR }, remoteRange.first, remoteRange.last, remoteRange.since);
  }

  /** Null until the tab has looked. */
  get found(): FoundLines | null {
    return this.local === null ? null : union(this.local, this.remote.found);
  }

  get errors(): FoundLines {
    return union(this.localErrors, this.remoteErrors.found);
  }

  /** From where on all that is to be found is known. Null when all is, or nothing more will come. */
  get sureFrom(): KnownFrom | null {
    if (this.local === null || this.known === null || this.lines < this.known.lines) return this.unknown;
    return this.sureWith(this.remote, this.known);
  }

  get errorsSureFrom(): KnownFrom | null {
    if (this.knownErrors === null || this.lines < this.knownErrors.lines) return this.unknown;
    return this.sureWith(this.remoteErrors, this.knownErrors);
  }

  /** Nothing is known, unless the job cannot be read: then nothing is waited for. */
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

  /** Asks for what is not here, once it is known what that is. */
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

  /** Only the tab can search for this, so everything is loaded for it. */
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
