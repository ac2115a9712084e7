/** One open job: its batches, its feed, and the fetching of what the feed is missing. */

import type { IndexedBatch } from "../index/messages";
import { MAX_SEQUENCE } from "../limits";
import type { Subscription } from "../live/connection";
import { Feed } from "../live/feed";
import type { SequenceRange } from "../live/sequenceRanges";
import type { Row, RowWindow } from "../log/row";
import { rowAt, rowsOf } from "../log/rows";
import { type Batch, Store } from "../log/store";
import { tryOr } from "../log/tryOr";
import { ERROR } from "../text/levelNames";
import { lineLevel } from "../text/loadLevels";
import { plain } from "../text/terminal";
import { type Api, ApiError } from "../wire/api";
import type { BatchFacts, JobRecord, ToViewer } from "../wire/messages";
import { type RetryPolicy, retryDelay } from "../wire/retry";
import type { Entry, JobFacts, Problem } from "./messages";

/** Loaded without a request, counted from the end: all of most jobs, and a few seconds on a slow line at most. */
const AUTO_LINES = 100_000;
const AUTO_BYTES = 8 * 1024 * 1024;
/**
 * Batches of the first page. Few, so that it arrives soon on a slow line; the next pages grow quickly where batches are
 * small.
 */
const FIRST_BATCHES = 4;
const GROWTH = 8;
const DEMAND_BATCHES = 12;
/** The API's maximum per page. The API ends a page earlier at about 1 MiB. */
const PAGE_BATCHES = 500;
const HISTORY_RETRY: RetryPolicy = { firstMs: 1_500, maxMs: 30_000 };
const RESUBSCRIBE: RetryPolicy = { firstMs: 2_000, maxMs: 2_000 };
const RESUBSCRIBE_MIN_MS = 2_000;

export interface JobDeps {
  readonly api: Api;
  /** Resolves when bodies can be decoded. */
  readonly ready: Promise<void>;
  now(): number;
  random(): number;
  later(ms: number, step: () => void): () => void;
  changed(job: OpenJob): void;
  /** Subscribe again after an error that asks for a retry. */
  resubscribe(job: string): void;
}

export class OpenJob {
  readonly store = new Store();
  readonly feed: Feed;
  record: JobRecord | null = null;
  problem: Problem | null = null;
  subscribed = false;
  revision = 0;
  arrived: number | null = null;
  /**
   * The tip at the first subscription. Entries up to it were written before, even if a broadcast delivers them late.
   */
  private subscribedAt: number | null = null;
  private live = 0;
  private liveErrors = 0;
  private fetching = false;
  private closed = false;
  private loadWhole = false;
  private opening = true;
  private settleOpened: () => void = () => undefined;
  /** Resolves when the first page was answered, even with an error. Never rejects. */
  readonly opened = new Promise<void>((resolve) => (this.settleOpened = resolve));
  private demand: SequenceRange | null = null;
  /** Ranges that callers wait for. */
  private requests: { readonly span: SequenceRange; done(): void }[] = [];
  /** Sequences that a filtered list shows and that are not loaded, the most wanted first. */
  private wantedSequences: readonly number[] = [];
  private send: ((batches: readonly IndexedBatch[]) => void) | null = null;
  private timer: (() => void) | null = null;
  /** The job's tip when its end was first loaded. */
  private openedAt = 0;
  private failures = 0;
  private pages = 0;

  constructor(
    readonly id: string,
    private readonly deps: JobDeps,
    /** A sequence to begin at instead of the end. */
    at: number | null,
  ) {
    this.feed = new Feed(() => deps.random());
    if (at !== null) this.demand = rangeAround(at);
  }

  get subscription(): Subscription {
    return {
      request: () => ({ job: this.id, after: this.feed.held.all.at(-1)?.last ?? 0 }),
      answer: (message) => this.answered(message),
    };
  }

  /** Fetch the end at once. The subscription is requested at the same time and reports what arrives in between. */
  open(): void {
    void this.loadRecord();
    this.pump();
  }

  close(): void {
    this.closed = true;
    this.dropRequests();
    this.settleOpened();
    this.timer?.();
  }

  /** Note a lost connection: until the next `subscribed`, nothing is known of the live edge. */
  interrupted(): void {
    if (!this.subscribed) return;
    this.subscribed = false;
    this.deps.changed(this);
  }

  receive(message: ToViewer): void {
    if (message.type === "batch" && message.job === this.id) {
      const news = this.storeBatches(message.batches);
      if (news) this.arrived = this.deps.now();
    } else if (message.type === "pong") {
      const tip = message.tips[this.id];
      if (tip !== undefined) this.feed.announced(tip, this.deps.now());
    } else if (message.type === "job" && message.record.job === this.id) {
      if (message.deleted) this.problem = { status: 410, message: "The job was deleted." };
      this.record = message.record;
      this.feed.announced(message.record.tip, this.deps.now());
    } else if (message.type === "expired" && message.job === this.id) {
      this.problem = { status: 401, message: message.message || "Your permission to read this job has expired." };
    } else return;
    this.pump();
    this.deps.changed(this);
  }

  rows(from: number, count: number): RowWindow {
    const tip = this.feed.tip;
    const [first, last] = [Math.max(1, from + 1), Math.min(tip, from + count)];
    if (
      first <= last &&
      this.feed.held.missing(first, last).some((span) => this.feed.gone.missing(span.first, span.last).length > 0)
    ) {
      this.demand = { first, last };
      this.pump();
    }
    return rowsOf(this.store, this.feed.gone, tip, from, count);
  }

  /** Fetch the missing part of a range first: a reader is looking at it. */
  prioritize(first: number, last: number): void {
    this.demand = { first: Math.max(1, first), last };
    this.pump();
  }

  /** Fetch the lines around a sequence. Resolves when they are loaded or cannot be; never rejects. */
  fetchAround(sequence: number): Promise<void> {
    return new Promise((done) => {
      this.requests.push({ span: rangeAround(sequence), done });
      this.pump();
    });
  }

  /**
   * Return rows of chosen sequences for a filtered list. Missing ones are fetched, and replace those of the previous
   * call.
   */
  filteredRows(sequences: readonly number[]): (Row | null)[] {
    const rows = sequences.map((sequence) => rowAt(this.store, this.feed.gone, sequence));
    this.wantedSequences = sequences.filter((_, at) => rows[at]?.kind === "loading");
    if (this.wantedSequences.length > 0) this.pump();
    return rows;
  }

  /** Send all loaded and all future batches to the indexer; null ends it. */
  feedTo(send: ((batches: readonly IndexedBatch[]) => void) | null): void {
    this.send = send;
    const all = this.store.all;
    for (let at = 0; at < all.length; at += 64) send?.(all.slice(at, at + 64).map(indexed));
  }

  entries(first: number, last: number): Entry[] {
    const found: Entry[] = [];
    for (let next = this.store.following(first); next !== null && next <= last; next = this.store.following(next)) {
      const here = this.store.at(next);
      if (here === null) break;
      const { times, streams, texts } = here.columns;
      const end = Math.min(last, here.batch.first + here.batch.count - 1);
      for (; next <= end; next++) {
        const at = next - here.batch.first;
        const [time, stream, text] = [times[at], streams[at], texts[at]];
        if (time !== undefined && stream !== undefined && text !== undefined)
          found.push({ sequence: next, time, stream, text });
      }
    }
    return found;
  }

  /** Load the whole job, whatever its size. */
  loadAll(): void {
    this.loadWhole = true;
    this.feed.want(1, this.deps.now());
    this.pump();
  }

  /** All entries written at this time (µs) or later are loaded. */
  private get since(): number {
    const first = this.feed.held.all.at(-1)?.first;
    if (first === undefined) return this.opening ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    if (this.feed.gone.missing(1, first - 1).length === 0) return Number.NEGATIVE_INFINITY;
    return this.store.holding(first)?.start ?? Number.POSITIVE_INFINITY;
  }

  get facts(): JobFacts {
    const { held, tip, repeats, missing } = this.feed;
    return {
      job: this.id,
      record: this.record,
      tip,
      received: held.count,
      first: held.all[0]?.first ?? null,
      last: held.all.at(-1)?.last ?? null,
      tail: held.all.at(-1)?.first ?? null,
      since: this.since,
      holes: missing.map(({ first, last }) => ({ first, last })),
      gone: this.feed.gone.count,
      repeats,
      subscribed: this.subscribed,
      caughtUp: this.subscribed && !this.opening && missing.every((hole) => hole.last < (held.all.at(-1)?.first ?? 1)),
      problem: this.problem,
      bytes: this.store.bytes,
      raw: this.store.raw,
      arrived: this.arrived,
      live: this.live,
      liveErrors: this.liveErrors,
      revision: this.revision,
    };
  }

  private answered(message: ToViewer & { type: "subscribed" | "error" }): void {
    if (this.closed) return;
    if (message.type === "error") {
      if (message.retry)
        this.deps.later(
          retryDelay(RESUBSCRIBE, 0, RESUBSCRIBE_MIN_MS, this.deps.random),
          () => this.closed || this.deps.resubscribe(this.id),
        );
      else {
        const status = message.code === "not_found" ? 404 : message.code === "forbidden" ? 403 : 400;
        this.problem = { status, message: message.message || message.code };
        this.pump();
      }
    } else {
      this.subscribed = true;
      this.subscribedAt ??= message.tip ?? 0;
      if (message.record) this.record = message.record;
      // The answer goes to this viewer alone, so a missing part may be fetched at once. Reconnects carry their own
      // jitter.
      this.feed.announced(message.tip ?? 0, this.deps.now(), true);
      this.pump();
    }
    this.deps.changed(this);
  }

  /** Store batches from any source. A live batch that cannot be decoded stays a hole, which history fills. */
  private storeBatches(batches: readonly BatchFacts[], live = true): boolean {
    let news = false;
    for (const facts of batches) {
      const held = this.feed.held;
      const last = facts.first + facts.count - 1;
      if (held.missing(facts.first, last).length === 0 || !this.add(facts, live)) {
        this.feed.received(
          facts.first,
          held.missing(facts.first, last).length === 0 ? facts.count : 0,
          this.deps.now(),
        );
        continue;
      }
      this.feed.received(facts.first, facts.count, this.deps.now());
      news = true;
      if (this.send !== null) {
        const batch = this.store.holding(facts.first);
        if (batch !== null) this.send([indexed(batch)]);
      }
      if (live && this.subscribedAt !== null && facts.first > this.subscribedAt) this.countLive(facts);
    }
    if (news) this.revision++;
    return news;
  }

  private add(facts: BatchFacts, live: boolean): boolean {
    try {
      return this.store.add(facts);
    } catch {
      // History has no better copy: show these entries as unreadable.
      return !live && this.store.add({ ...facts, body: "" });
    }
  }

  private countLive(facts: BatchFacts): void {
    this.live += facts.count;
    const here = this.store.at(facts.first);
    if (here === null) return;
    const { streams, texts } = here.columns;
    for (let at = 0; at < texts.length; at++) {
      if (
        (streams[at] === "o" || streams[at] === "e") &&
        tryOr(() => lineLevel(plain(texts[at] as string)), 0) >= ERROR
      )
        this.liveErrors++;
    }
  }

  private async loadRecord(): Promise<void> {
    try {
      this.record ??= await this.deps.api.job(this.id);
      if (this.closed) return;
      this.feed.announced(this.record.tip, this.deps.now(), true);
      this.pump();
    } catch (error) {
      if (error instanceof ApiError && !error.passing) this.problem = { status: error.status, message: error.message };
      this.pump();
    }
    this.deps.changed(this);
  }

  /** Fetch the most wanted range, then look again. */
  private pump(): void {
    if (this.problem) this.dropRequests();
    if (this.fetching || this.closed || this.problem) return;
    this.timer?.();
    this.timer = null;
    const now = this.deps.now();
    if (this.opening) {
      void this.fetch("before", MAX_SEQUENCE, this.page(), null);
      return;
    }
    const wanted = this.nextDemand();
    if (wanted !== null) {
      void this.fetch("after", wanted.first - 1, DEMAND_BATCHES, wanted);
      return;
    }
    const pick = this.wantedSequences.find(
      (sequence) => !this.feed.held.has(sequence) && !this.feed.gone.has(sequence),
    );
    if (pick !== undefined) {
      this.wantedSequences = this.wantedSequences.filter((sequence) => sequence !== pick);
      void this.fetch("after", pick - 1, 1, { first: pick, last: pick });
      return;
    }
    const { bytes } = this.store;
    const lowest = this.feed.held.all.find(({ first, last }) => first <= this.openedAt && this.openedAt <= last)?.first;
    // Load old history only up to the budget, downwards from the end. Holes above that are always filled; separate
    // ranges that a reader visited stay as they are.
    if (!this.loadWhole && bytes > AUTO_BYTES && lowest !== undefined) this.feed.settle(lowest, now);
    const due = this.feed.due(now);
    if (due !== null) {
      // A batch holds at least one entry, so a hole of five lines needs at most five batches, not a whole page.
      void this.fetch("before", due.last + 1, Math.min(due.last - due.first + 1, this.page(), PAGE_BATCHES), due);
      return;
    }
    const next = this.feed.next();
    if (next !== null) this.timer = this.deps.later(Math.max(1, next - now), () => this.pump());
  }

  /** Return the number of batches in the next page. */
  private page(): number {
    return FIRST_BATCHES * GROWTH ** Math.min(8, this.pages++);
  }

  private nextDemand(): SequenceRange | null {
    const part = this.demand === null ? null : this.firstMissing(this.demand);
    if (part !== null) return part;
    this.demand = null;
    for (let errand = this.requests[0]; errand !== undefined; errand = this.requests[0]) {
      const wanted = this.firstMissing(errand.span);
      if (wanted !== null) return wanted;
      this.requests.shift();
      errand.done();
    }
    return null;
  }

  /** Return the first part of a range that is neither loaded nor deleted by age. */
  private firstMissing({ first, last }: SequenceRange): SequenceRange | null {
    for (const span of this.feed.held.missing(first, Math.min(last, this.feed.tip))) {
      const part = this.feed.gone.missing(span.first, span.last)[0];
      if (part !== undefined) return part;
    }
    return null;
  }

  private dropRequests(): void {
    for (const { done } of this.requests.splice(0)) done();
  }

  private async fetch(
    side: "before" | "after",
    sequence: number,
    limit: number,
    hole: SequenceRange | null,
  ): Promise<void> {
    this.fetching = true;
    const before = this.feed.held.count;
    try {
      const page = await this.deps.api.history(this.id, side, sequence, limit);
      await this.deps.ready;
      if (this.closed) return;
      this.failures = 0;
      const now = this.deps.now();
      this.storeBatches(page.batches, false);
      this.feed.announced(page.tip, now, true);
      if (this.opening) {
        this.opening = false;
        this.openedAt = this.feed.tip;
        this.feed.want(Math.max(1, this.feed.tip - AUTO_LINES + 1), now);
      }
      // Entries between the requested and the oldest kept sequence were deleted by age.
      if (page.kept !== null) this.feed.forgotten(side === "after" ? sequence + 1 : 1, page.kept - 1, now);
      const progress = this.feed.held.count > before;
      if (hole !== null) {
        this.feed.asked(hole, progress, now);
        if (!progress && side === "after") {
          if (this.demand !== null) this.demand = null;
          else this.requests.shift()?.done();
        }
      }
    } catch (error) {
      if (this.closed) return;
      const passing = !(error instanceof ApiError) || error.passing;
      if (!passing) this.problem = { status: (error as ApiError).status, message: (error as ApiError).message };
      const leastMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
      const delay = retryDelay(HISTORY_RETRY, this.failures++, leastMs, this.deps.random);
      if (passing) this.timer = this.deps.later(delay, () => this.pump());
    } finally {
      this.fetching = false;
      this.settleOpened();
    }
    this.deps.changed(this);
    if (this.failures === 0 || this.problem) this.pump();
  }
}

/** Return the range to fetch around a sequence that a reader goes to. */
function rangeAround(sequence: number): SequenceRange {
  return { first: Math.max(1, sequence - 200), last: sequence + 400 };
}

function indexed({ first, count, body }: Batch): IndexedBatch {
  return { first, count, body };
}
