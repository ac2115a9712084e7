/**
 * Plans the service's search of a range: in stretches, the newest first, because that is read first. Within a stretch
 * answers ascend. No network, no clock.
 */
import { expressionOf, type Query } from "../index/query";
import { levelOf } from "../text/levels";
import { plain } from "../text/terminal";
import { traceRole } from "../text/trace";
import type { Match, SearchPage } from "./api";

/** Lines of the first stretch, which is answered soon. Later ones grow while answers are quick. */
const FIRST_LINES = 20_000;
const MAX_LINES = 640_000;
const QUICK_MS = 1_500;
/** Most matches to fetch from the service; nobody steps through more. */
export const MAX_FOUND = 20_000;

export class RangePlanner {
  /** The current stretch: from..to, and the sequence after which its next answer begins. */
  private from: number;
  private to: number;
  private after: number;
  private lines = FIRST_LINES;
  private found = 0;
  /** Time of the first line of the current stretch, µs. */
  private began: number | null = null;
  /** Time of the first line of the searched part, µs; null while it is not known. */
  since: number | null = null;
  /** A bound was reached before the beginning. */
  full = false;

  constructor(
    private readonly first: number,
    private readonly last: number,
  ) {
    this.to = last;
    this.from = Math.max(first, last - this.lines + 1);
    this.after = this.from - 1;
  }

  /** Return what to ask for next: entries within (after, before). Null when all is searched. */
  next(): { after: number; before: number } | null {
    return this.to < this.first || this.full ? null : { after: this.after, before: this.to + 1 };
  }

  /** Note an answer that took `ms`, of whose matches `found` passed the check. */
  answered(page: Pick<SearchPage, "next" | "since">, found: number, ms: number): void {
    if (this.after === this.from - 1) this.began = page.since;
    this.found += found;
    if (this.found >= MAX_FOUND) this.full = true;
    // An answer without progress would be asked for again and again.
    if (page.next !== null && page.next > this.after && page.next < this.to) {
      this.after = page.next;
      return;
    }
    this.to = this.from - 1;
    this.since = this.began ?? this.since;
    if (ms < QUICK_MS) this.lines = Math.min(MAX_LINES, this.lines * 2);
    this.from = Math.max(this.first, this.to - this.lines + 1);
    this.after = this.from - 1;
  }

  /** Lines that are searched, counted from the last. */
  get covered(): number {
    return this.last - this.to;
  }
}

/** Return a test whether the tab would find a match of the service, and show it. */
export function matchChecker(
  query: Query,
): (match: Pick<Match, "stream" | "text"> & Partial<Pick<Match, "cut">>) => boolean {
  const expression = expressionOf(query);
  return ({ stream, text, cut }) => {
    if (query.hide.includes(stream)) return false;
    const line = plain(text);
    // Part of a line cannot be checked: the service's verdict counts.
    if (expression !== null && cut !== true) {
      expression.lastIndex = 0;
      if (!expression.test(line)) return false;
    }
    if (query.hide.includes("frames") && traceRole(line) === "frame") return false;
    return query.level === 0 || levelOf(line) >= query.level;
  };
}
