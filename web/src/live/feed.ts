/**
 * Which sequences of one job are here, and which must be fetched when. No clock, no network: `now` is passed in milliseconds.
 *
 * Theory of operation. A viewer subscribes, is told the job's tip, and from then on receives batches in any order, perhaps twice,
 * perhaps not at all (DESIGN.md, invariant 8). Three things are known at any time: the sequences held, the greatest sequence
 * known to exist (`tip`: from the subscription, from pongs, from batches), and the `floor` from which on everything is wanted.
 * Whatever lies between floor and tip and is not held is a hole. A hole that a live message disclosed is fetched after a
 * jittered moment, because the batch may just be late and the whole audience sees the same hole; history asked for by a person is fetched
 * at once. An answer that brings nothing new ("not yet") is legal: the hole is asked for again, later and later.
 */
import { type RetryPolicy, retryDelay } from "../wire/retry";
import { type SequenceRange, SequenceRanges } from "./sequenceRanges";

/** How long a late batch is waited for: at least the first, at most both. */
export const HOLE_LEAST_MS = 250;
export const HOLE_JITTER_MS = 1_000;
const NOT_YET: RetryPolicy = { firstMs: 1_000, mostMs: 30_000 };

interface Hole {
  readonly first: number;
  readonly last: number;
  readonly due: number;
  readonly attempts: number;
}

export class Feed {
  readonly held = new SequenceRanges();
  /** Sequences that exist no more (older than the log is kept): never asked for again. */
  readonly gone = new SequenceRanges();
  /** Greatest sequence known to exist; 0 while nothing is known. */
  tip = 0;
  /** Everything from here to the tip is wanted. */
  floor = Number.POSITIVE_INFINITY;
  /** Batches that came again: shows that deduplication works, and costs nothing. */
  repeats = 0;
  private holes: Hole[] = [];

  constructor(private readonly random: () => number) {}

  /** A batch came, by any way. Says whether it holds anything that was not held. */
  received(first: number, count: number, now: number): boolean {
    const last = first + count - 1;
    const added = this.held.add(first, last);
    this.learn(last, now);
    if (added === 0) this.repeats++;
    return added > 0;
  }

  /** Something said that the job reaches to `tip`; `urgent` when it answers this viewer alone, so that no audience asks with it. */
  announced(tip: number, now: number, urgent = false): void {
    if (urgent) {
      if (tip > this.tip) this.tip = tip;
      this.refresh(now, now);
    } else this.learn(tip, now);
  }

  /** From now on everything from `sequence` is wanted, at once. */
  want(sequence: number, now: number): void {
    if (sequence >= this.floor) return;
    this.floor = Math.max(1, sequence);
    this.refresh(now, now);
  }

  /** Enough: nothing before `sequence` is wanted any more. */
  settle(sequence: number, now: number): void {
    if (sequence <= this.floor) return;
    this.floor = sequence;
    this.refresh(now, now);
  }

  /** The hole to fetch now: the last one that is due, because readers look at the end. */
  due(now: number): SequenceRange | null {
    for (let at = this.holes.length - 1; at >= 0; at--) {
      const hole = this.holes[at] as Hole;
      if (hole.due <= now) return { first: hole.first, last: hole.last };
    }
    return null;
  }

  /** When the next hole is due, in milliseconds; null when there is none. */
  next(): number | null {
    return this.holes.length === 0 ? null : Math.min(...this.holes.map((hole) => hole.due));
  }

  /** A fetch of the hole was answered (its batches went through `received`) or failed; what remains of it waits. */
  asked(span: SequenceRange, progress: boolean, now: number): void {
    this.refresh(now, now);
    this.holes = this.holes.map((hole) => {
      if (hole.last < span.first || hole.first > span.last) return hole;
      if (progress) return { ...hole, due: now, attempts: 0 };
      const delay = retryDelay(NOT_YET, hole.attempts, HOLE_LEAST_MS, this.random);
      return { ...hole, due: now + delay, attempts: hole.attempts + 1 };
    });
  }

  /** History keeps these no more: they were deleted by age. */
  forgotten(first: number, last: number, now: number): void {
    this.gone.add(first, last);
    this.refresh(now, now);
  }

  /** Holes as they are, due or not. */
  get missing(): readonly SequenceRange[] {
    return this.holes;
  }

  /** Whether all that is wanted is here. */
  get whole(): boolean {
    return this.holes.length === 0;
  }

  private learn(last: number, now: number): void {
    if (last > this.tip) this.tip = last;
    this.refresh(now, now + HOLE_LEAST_MS + this.random() * HOLE_JITTER_MS);
  }

  /** Draws the holes anew; one that overlaps an earlier hole keeps its moment, a new one is due at `due`. */
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
        // A hole that only grew at the live edge keeps waiting for the newest message; one that a person widened is due now.
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
