/**
 * How a range of a job is searched on the service: in stretches, the newest first, because that is what is read first. Within a stretch
 * answers ascend. No network, no clock.
 */
import { expressionOf, type Query } from "../index/query";
import { levelOf } from "../text/levels";
import { plain } from "../text/terminal";
import { traceRole } from "../text/trace";
import type { Match, SearchPage } from "./api";

/** Lines of the first stretch: soon answered. Later ones grow while answers are quick. */
const FIRST_LINES = 20_000;
const MOST_LINES = 640_000;
const QUICK_MS = 1_500;
/** Found on the service, all in all; more than this nobody steps through. */
export const MOST_FOUND = 20_000;

export class RangePlanner {
  /** The stretch that is being searched: from..to, and the sequence after which its next answer begins. */
  private from: number;
  private to: number;
  private after: number;
  private lines = FIRST_LINES;
  private found = 0;
  /** Time of the first line of the stretch that is being searched, µs. */
  private began: number | null = null;
  /** Time of the first line that is searched whole, µs; null while it is not known. */
  since: number | null = null;
  /** A bound that was reached before the beginning was. */
  full = false;

  constructor(
    private readonly first: number,
    private readonly last: number,
  ) {
    this.to = last;
    this.from = Math.max(first, last - this.lines + 1);
    this.after = this.from - 1;
  }

  /** What to ask for next: entries within (after, before). Null when all is searched. */
  next(): { after: number; before: number } | null {
    return this.to < this.first || this.full ? null : { after: this.after, before: this.to + 1 };
  }

  /** An answer came after `ms`, and `found` of its matches were matches. */
  answered(page: Pick<SearchPage, "next" | "since">, found: number, ms: number): void {
    if (this.after === this.from - 1) this.began = page.since;
    this.found += found;
    if (this.found >= MOST_FOUND) this.full = true;
    // An answer that gets no further would be asked for again and again.
    if (page.next !== null && page.next > this.after && page.next < this.to) {
      this.after = page.next;
      return;
    }
    this.to = this.from - 1;
    this.since = this.began ?? this.since;
    if (ms < QUICK_MS) this.lines = Math.min(MOST_LINES, this.lines * 2);
    this.from = Math.max(this.first, this.to - this.lines + 1);
    this.after = this.from - 1;
  }

  /** Lines that are searched whole, from the last on. */
  get covered(): number {
    return this.last - this.to;
  }
}

/** Whether the tab would call a line that the service found a match, and show it. */
export function matchChecker(
  query: Query,
): (match: Pick<Match, "stream" | "text"> & Partial<Pick<Match, "cut">>) => boolean {
  const expression = expressionOf(query);
  return ({ stream, text, cut }) => {
    if (query.hide.includes(stream)) return false;
    const line = plain(text);
    // Of a part of a line nobody can tell: what the service says counts.
    if (expression !== null && cut !== true) {
      expression.lastIndex = 0;
      if (!expression.test(line)) return false;
    }
    if (query.hide.includes("frames") && traceRole(line) === "frame") return false;
    return query.level === 0 || levelOf(line) >= query.level;
  };
}
