/**
 * Which sequences of one job are loaded, and which must be fetched when. No clock, no network: `now` is passed in
 * milliseconds.
 *
 * A viewer subscribes, learns the job's tip, and from then on receives batches in any order, perhaps twice, perhaps
 * never (ARCHITECTURE.md, invariant 8). Three things are known at any time: the sequences held; the greatest sequence
 * known to exist (`tip`: from the subscription, from pongs, from batches); and the `floor` from which on everything is
 * wanted. Whatever lies between floor and tip and is not held is a hole. A hole that a live message revealed is fetched
 * after a jittered wait, because the batch may only be late and the whole audience sees the same hole. History that a
 * person asks for is fetched at once. An answer without news ("not yet") is legal: the hole is asked for again, with
 * growing waits.
 */
import { type RetryPolicy, retryDelay } from "../wire/retry";
import { type SequenceRange, SequenceRanges } from "./sequenceRanges";

/** How long to wait for a late batch: at least the first, at most the sum of both. */
export const HOLE_MIN_MS = 250;
export const HOLE_JITTER_MS = 1_000;
const HOLE_RETRY: RetryPolicy = { firstMs: 1_000, maxMs: 30_000 };

interface Hole {
  readonly first: number;
  readonly last: number;
  readonly due: number;
  readonly attempts: number;
}

export class Feed {
  readonly held = new SequenceRanges();
  /** Sequences that no longer exist (deleted by age): never fetched again. */
  readonly gone = new SequenceRanges();
  /** The greatest sequence known to exist; 0 while nothing is known. */
  tip = 0;
  /** Everything from here to the tip is wanted. */
  floor = Number.POSITIVE_INFINITY;
  /** Batches that arrived again: shows that deduplication works. */
  repeats = 0;
  private holes: Hole[] = [];

  constructor(private readonly random: () => number) {}

  /** Note a batch from any source, and return whether it holds anything new. */
  received(first: number, count: number, now: number): boolean {
    const last = first + count - 1;
    const added = this.held.add(first, last);
    this.learn(last, now);
    if (added === 0) this.repeats++;
    return added > 0;
  }

  /**
   * Note that the job reaches `tip`. `urgent` means that only this viewer was told, so that no audience fetches with
   * it.
   */
  announced(tip: number, now: number, urgent = false): void {
    if (urgent) {
      if (tip > this.tip) this.tip = tip;
      this.refresh(now, now);
    } else this.learn(tip, now);
  }

  /** Want everything from `sequence` on, at once. */
  want(sequence: number, now: number): void {
    if (sequence >= this.floor) return;
    this.floor = Math.max(1, sequence);
    this.refresh(now, now);
  }

  /** Stop wanting anything before `sequence`. */
  settle(sequence: number, now: number): void {
    if (sequence <= this.floor) return;
    this.floor = sequence;
    this.refresh(now, now);
  }

  /** Return the hole to fetch now: the last one that is due, because readers look at the end. */
  due(now: number): SequenceRange | null {
    for (let at = this.holes.length - 1; at >= 0; at--) {
      const hole = this.holes[at] as Hole;
      if (hole.due <= now) return { first: hole.first, last: hole.last };
    }
    return null;
  }

  /** Return when the next hole is due, in milliseconds; null when there is none. */
  next(): number | null {
    return this.holes.length === 0 ? null : Math.min(...this.holes.map((hole) => hole.due));
  }

  /**
   * Note that a fetch of the hole was answered (its batches went through `received`) or failed. The rest of it waits.
   */
  asked(span: SequenceRange, progress: boolean, now: number): void {
    this.refresh(now, now);
    this.holes = this.holes.map((hole) => {
      if (hole.last < span.first || hole.first > span.last) return hole;
      if (progress) return { ...hole, due: now, attempts: 0 };
      const delay = retryDelay(HOLE_RETRY, hole.attempts, HOLE_MIN_MS, this.random);
      return { ...hole, due: now + delay, attempts: hole.attempts + 1 };
    });
  }

  /** Note entries that history no longer keeps: they were deleted by age. */
  forgotten(first: number, last: number, now: number): void {
    this.gone.add(first, last);
    this.refresh(now, now);
  }

  /** The holes, due or not. */
  get missing(): readonly SequenceRange[] {
    return this.holes;
  }

  /** Whether everything wanted is held. */
  get whole(): boolean {
    return this.holes.length === 0;
  }

  private learn(last: number, now: number): void {
    if (last > this.tip) this.tip = last;
    this.refresh(now, now + HOLE_MIN_MS + this.random() * HOLE_JITTER_MS);
  }

  /** Recompute the holes. One that overlaps an earlier hole keeps its time; a new one is due at `due`. */
  private refresh(now: number, due: number): void {
    if (this.floor > this.tip) {
      this.holes = [];
      return;
    }
    const known = this.holes;
    const found: Hole[] = [];
    for (const span of this.held.missing(this.floor, this.tip)) {
      for (const part of this.gone.missing(span.first, span.last)) {
        const old = known.filter((hole) => hole.first <= part.last && hole.last >= part.first);
        const covered = old.some((hole) => hole.first <= part.first && hole.last >= part.last);
        const moments = old.map((hole) => hole.due);
        // A hole that only grew at the live edge waits for the newest message; one that a person widened is due now.
        if (!covered) moments.push(due);
        found.push({
          ...part,
          due: due === now ? Math.min(...moments) : Math.max(...moments),
          attempts: Math.max(0, ...old.map((hole) => hole.attempts)),
        });
      }
    }
    this.holes = found;
  }
}
