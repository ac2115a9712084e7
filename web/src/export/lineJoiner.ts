/**
 * Join entries to lines, batch by batch, for a job of any size: an export is never held in memory as a whole. Pure.
 *
 * A line is returned once no later entry can continue it. Lines keep the order of their first entries, so an open line
 * delays those after it.
 */
import type { Columns } from "../log/body";
import { continuable } from "../log/continuation";

export interface Entry {
  readonly sequence: number;
  /** Microseconds since 1970. */
  readonly time: number;
  /** o e O E s, as on the wire. */
  readonly stream: string;
  readonly text: string;
}

export interface Line {
  readonly stream: "stdout" | "stderr" | "system";
  /** The first entry and those that continue it. */
  readonly entries: Entry[];
  open: boolean;
}

/** Return the sequence of a line's first entry. */
export function firstSequence({ entries: [first] }: Line): number {
  return first?.sequence ?? 0;
}

/** An open line is returned as it is after this many lines. */
const MAX_HELD_LINES = 20_000;

export class LineJoiner {
  private held: Line[] = [];

  /** `singly` returns entries as they are, in their own order, without joining. */
  constructor(private readonly singly = false) {}

  private readonly last: { stdout: Line | null; stderr: Line | null } = { stdout: null, stderr: null };

  add(first: number, { times, streams, texts }: Columns, from = first, to = Number.POSITIVE_INFINITY): void {
    for (let at = Math.max(0, from - first); at < texts.length && first + at <= to; at++) {
      this.take({
        sequence: first + at,
        time: times[at] as number,
        stream: streams[at] as string,
        text: texts[at] as string,
      });
    }
  }

  /** Return the finished lines; with `end` also the open ones. */
  ready(end: boolean): Line[] {
    const open = end || this.held.length > MAX_HELD_LINES ? -1 : this.held.findIndex((line) => line.open);
    const given = open < 0 ? this.held : this.held.slice(0, open);
    this.held = open < 0 ? [] : this.held.slice(open);
    if (open < 0) [this.last.stdout, this.last.stderr] = [null, null];
    return given;
  }

  /** Return whether a line that begins at or before `last` may continue in later entries. */
  goesOn(last: number): boolean {
    return this.held.some((line) => line.open && firstSequence(line) <= last);
  }

  private take(entry: Entry): void {
    if (entry.stream === "s") {
      this.held.push({ stream: "system", entries: [entry], open: false });
      return;
    }
    const stream = entry.stream.toLowerCase() === "e" ? "stderr" : "stdout";
    if (this.singly) {
      this.held.push({ stream, entries: [entry], open: false });
      return;
    }
    const before = this.last[stream];
    const open = continuable(entry.text);
    if (entry.stream !== entry.stream.toLowerCase() && before !== null) {
      before.entries.push(entry);
      before.open = open;
      return;
    }
    if (before !== null) before.open = false;
    const line = { stream, entries: [entry], open } as const satisfies Line;
    this.held.push(line);
    this.last[stream] = line;
  }
}
