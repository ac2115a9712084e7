/** What is looked for in one job, and found: in the tab what is here, on the service what is not. */
import type { JobFacts } from "../engine/messages";
import type { Finder, Found } from "../index/finder";
import { NOTHING, type Timed, united } from "../index/linePositions";
import { EVERYTHING, type Query } from "../index/query";
import { ERROR } from "../text/levelNames";
import { RemoteSearch, type Searcher } from "./remote";

/** More lines than these that are not here are searched on the service, at once, instead of being loaded first. */
const LOADED_SOON = 20_000;

/** The older part of a job, if it is long and not here: how far it goes, and what is here all from when on (µs). */
interface Away {
  readonly first: number;
  readonly last: number;
  readonly since: number;
}

/** From where on all is known: a sequence, and a time in µs. */
export interface From {
  readonly from: number;
  readonly since: number;
}

/** What was here when something was asked: all that, and so many lines, the tab is to have read before it is sure. */
interface Known extends From {
  readonly lines: number;
}

function knownOf({ received, tail, since }: JobFacts): Known {
  return { lines: received, from: tail ?? 0, since };
}

/** Null when there is little of it. */
export function awayOf(facts: JobFacts | null): Away | null {
  if (facts === null || facts.tail === null || facts.tip - facts.received - facts.gone < LOADED_SOON) return null;
  return { first: facts.gone + 1, last: facts.tail - 1, since: facts.since };
}

export interface AroundSearch {
  facts(): JobFacts | null;
  /** All of the job is to be loaded. */
  whole(): void;
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
  private local: Timed | null = null;
  private localErrors: Timed = NOTHING;
  private indexed = false;
  private known: Known | null = null;
  private knownErrors: Known | null = null;
  /** Entries that were here when none was missing for the first time. */
  private all: number | null = null;

  constructor(
    readonly job: string,
    private readonly finder: Finder,
    searcher: Searcher,
    private readonly around: AroundSearch,
    /** Of several jobs lines are told with their times, and what only filters leave out is not loaded to be told. */
    private readonly several: boolean,
  ) {
    this.remote = new RemoteSearch(
      job,
      searcher,
      () => this.local !== null && around.found(),
      (reason) => this.alone(reason),
    );
    this.remoteErrors = new RemoteSearch(job, searcher, () => around.errors());
  }

  destroy(): void {
    if (this.indexed) this.finder.forget(this.job);
  }

  /** Indexing begins when it is first needed, or when the page has nothing else to do. */
  index(): void {
    if (this.indexed) return;
    this.indexed = true;
    this.finder.index(this.job, {
      timed: this.several,
      hits: (found) => this.hits(found),
      errors: (found, lines) => {
        [this.localErrors, this.lines] = [found, lines];
        this.around.errors();
      },
      failed: (message) => this.around.failed(message),
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
  heard(): void {
    const facts = this.around.facts();
    if (this.all === null && facts !== null && facts.tip > 0 && facts.received + facts.gone >= facts.tip)
      this.all = facts.received;
    this.ask();
  }

  loadAll(): void {
    this.loading = true;
    this.remote.stop();
    this.around.whole();
  }

  askErrors(): void {
    this.index();
    const { away } = this;
    const facts = this.around.facts();
    if (facts !== null) this.knownErrors ??= knownOf(facts);
    if (away !== null && this.remoteErrors.progress.peek() === null)
      this.remoteErrors.begin({ ...EVERYTHING, level: ERROR }, away.first, away.last, away.since);
  }

  /** Null until the tab has looked. */
  get found(): Timed | null {
    return this.local === null ? null : united(this.local, this.remote.found);
  }

  get errors(): Timed {
    return united(this.localErrors, this.remoteErrors.found);
  }

  /** From where on all that is to be found is known. Null when all is, or nothing more will come. */
  get sure(): From | null {
    if (this.local === null || this.known === null || this.lines < this.known.lines) return this.waited;
    return this.surely(this.remote, this.known);
  }

  get sureOfErrors(): From | null {
    if (this.knownErrors === null || this.lines < this.knownErrors.lines) return this.waited;
    return this.surely(this.remoteErrors, this.knownErrors);
  }

  /** Nothing is known, unless the job cannot be read: then nothing is waited for. */
  private get waited(): From | null {
    return this.around.facts()?.problem == null
      ? { from: Number.POSITIVE_INFINITY, since: Number.POSITIVE_INFINITY }
      : null;
  }

  private surely(remote: RemoteSearch, known: From): From | null {
    const state = remote.progress.peek()?.state;
    if (state === "searching") return { from: remote.sureFrom, since: Math.min(known.since, remote.since) };
    if (state !== undefined || (this.all !== null && this.lines >= this.all) || this.around.facts()?.problem != null)
      return null;
    return known;
  }

  /** Asks for what is not here, once it is known what that is. */
  private ask(): void {
    const facts = this.around.facts();
    if (
      this.query === null ||
      this.known !== null ||
      facts === null ||
      (facts.tail === null && facts.problem === null && !facts.caughtUp)
    )
      return;
    const { query, away } = this;
    this.known = knownOf(facts);
    if (away === null) this.around.whole();
    else this.remote.begin(query, away.first, away.last, away.since);
  }

  /** Only the tab can search for this, so everything is loaded for it. */
  private alone(reason: string): void {
    const { away } = this;
    if (this.several && this.query?.text === "")
      this.remote.refuse(away === null ? 0 : away.last - away.first + 1, reason);
    else {
      this.loading = true;
      this.reason = reason;
      this.around.whole();
    }
    if (this.local !== null) this.around.found();
  }

  private get away(): Away | null {
    return awayOf(this.around.facts());
  }

  private hits({ found, lines, ms }: Found): void {
    [this.local, this.lines] = [found, Math.max(this.lines, lines)];
    if (ms > 0) this.ms = ms;
    this.around.found();
  }
}
