/**
 * One batch made ready for searching: its visible lines in one string, with the level of each. Pure.
 *
 * One string a batch, because a regular expression over a megabyte runs several times faster than over ten thousand short strings. A
 * JavaScript string takes one byte a character only while none is above U+00FF, so lines with others are kept apart: a few of
 * them must not double the memory of all.
 */
import type { Columns } from "../log/body";
import { standingTimes } from "../log/standing";
import { describeEvent } from "../text/events";
import { type Level, levelOf } from "../text/levels";
import { plain } from "../text/terminal";
import { type TraceRole, traceRoleAfter } from "../text/trace";

export interface Segment {
  readonly first: number;
  readonly count: number;
  /** All lines, each ended by "\n"; wide lines are empty here. */
  readonly narrow: string;
  /** Where each line begins in `narrow`, and the end. */
  readonly starts: Uint32Array;
  /** Lines with characters above U+00FF, by offset. */
  readonly wide: ReadonlyMap<number, string>;
  /** Level of each line, 0 for none. */
  readonly levels: Uint8Array;
  /** 0 stdout, 1 stderr, 2 system. */
  readonly streams: Uint8Array;
  /** 1 for a stack trace's frame; its head has 0. */
  readonly frames: Uint8Array;
  /** By which its lines stand. */
  readonly times: Float64Array;
}

const WIDE = /[^\u0000-\u00ff]/;

export function segmentOf(first: number, { streams, texts, times }: Columns): Segment {
  const count = texts.length;
  const [levels, kinds, starts] = [new Uint8Array(count), new Uint8Array(count), new Uint32Array(count + 1)];
  const frames = new Uint8Array(count);
  // Of stdout and stderr, which may be mixed line by line.
  const before: [TraceRole | null, TraceRole | null] = [null, null];
  const lines: string[] = new Array<string>(count);
  const wide = new Map<number, string>();
  let at = 0;
  for (let offset = 0; offset < count; offset++) {
    const stream = streams[offset] as string;
    let line = texts[offset] as string;
    let level: Level = 0;
    if (stream === "s") {
      const event = describeEvent(line);
      line = event.sentence;
      level = event.bad ? 5 : 0;
      kinds[offset] = 2;
    } else {
      line = plain(line);
      if (stream === "o" || stream === "e") level = levelOf(line);
      const kind = stream === "e" || stream === "E" ? 1 : 0;
      kinds[offset] = kind;
      if (stream === "o" || stream === "e") before[kind] = traceRoleAfter(line, before[kind]);
      frames[offset] = before[kind] === "frame" ? 1 : 0;
    }
    if (line.includes("\n")) line = line.replaceAll("\n", " ");
    levels[offset] = level;
    if (WIDE.test(line)) {
      wide.set(offset, line);
      line = "";
    }
    lines[offset] = line;
    starts[offset] = at;
    at += line.length + 1;
  }
  starts[count] = at;
  lines.push("");
  return { first, count, narrow: lines.join("\n"), starts, wide, levels, streams: kinds, frames, times: standingTimes(times) };
}

export interface Query {
  readonly text: string;
  readonly regex: boolean;
  readonly matchCase: boolean;
  readonly word: boolean;
  /** Streams to leave out, and whether the frames of stack traces are. */
  readonly hide: readonly ("stdout" | "stderr" | "system" | "frames")[];
  /** Least level; 0 takes all. */
  readonly level: number;
}

export const EVERYTHING: Query = { text: "", regex: false, matchCase: false, word: false, hide: [], level: 0 };

/** The expression that a query means, to be used a line at a time; null for no text. Raises SyntaxError. */
export function expressionOf({ text, regex, matchCase, word }: Query): RegExp | null {
  if (text === "") return null;
  const source = regex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // Letters and digits of any script count as a word's.
  const bounded = word ? `(?<![\\p{L}\\p{N}_])(?:${source})(?![\\p{L}\\p{N}_])` : source;
  const flags = `gm${matchCase ? "" : "i"}${word ? "u" : ""}`;
  try {
    // recheck: what a person typed; the worker that searches with it is ended when it takes too long
    return new RegExp(bounded, flags);
  } catch (error) {
    // What is only wrong under "u" (like an escaped letter) is still a regular expression to most people.
    if (!word) throw error;
    // recheck: as above
    return new RegExp(`\\b(?:${source})\\b`, flags.replace("u", ""));
  }
}

/** Finds the lines of a segment that a query wants. Made once a query, used for every segment. */
export class Matcher {
  private readonly expression: RegExp | null;
  private readonly literal: string | null;
  private readonly lineByLine: boolean;
  private readonly hidden: readonly boolean[];
  private readonly folded: boolean;

  constructor(private readonly query: Query) {
    this.expression = expressionOf(query);
    const plainText = !query.regex && query.matchCase && !query.word && !query.text.includes("\n");
    this.literal = plainText && query.text !== "" ? query.text : null;
    // What looks around sees the next line where lines are joined; anything else that takes a line's end with it is noticed.
    this.lineByLine = query.regex && /\(\?<?[!=]|\\n/.test(query.text);
    this.hidden = (["stdout", "stderr", "system"] as const).map((stream) => query.hide.includes(stream));
    this.folded = query.hide.includes("frames");
  }

  /** Sequences of the matching lines, ascending. */
  find(segment: Segment): number[] {
    const found: number[] = [];
    const take = (offset: number): void => {
      if (this.wanted(segment, offset)) found.push(segment.first + offset);
    };
    if (this.expression === null) {
      for (let offset = 0; offset < segment.count; offset++) take(offset);
      return found;
    }
    if (this.lineByLine || !this.joined(segment, take)) {
      found.length = 0;
      for (let offset = 0; offset < segment.count; offset++) {
        if (segment.wide.has(offset)) continue;
        const line = segment.narrow.slice(segment.starts[offset], (segment.starts[offset + 1] as number) - 1);
        if (this.test(line)) take(offset);
      }
    }
    if (segment.wide.size > 0) {
      const before = found.length;
      for (const [offset, line] of segment.wide) if (this.test(line)) take(offset);
      if (found.length > before) found.sort((a, b) => a - b);
    }
    return found;
  }

  private test(line: string): boolean {
    const expression = this.expression as RegExp;
    expression.lastIndex = 0;
    return expression.test(line);
  }

  private wanted(segment: Segment, offset: number): boolean {
    if ((segment.levels[offset] as number) < this.query.level) return false;
    if (this.folded && segment.frames[offset] === 1) return false;
    return this.hidden[segment.streams[offset] as number] !== true;
  }

  /** Runs over all lines at once; false when a match went over a line's end, so that it must be done line by line. */
  private joined(segment: Segment, take: (offset: number) => void): boolean {
    const { narrow, starts, wide, count } = segment;
    let offset = 0;
    if (this.literal !== null) {
      for (let at = narrow.indexOf(this.literal); at >= 0; ) {
        while ((starts[offset + 1] as number) <= at) offset++;
        take(offset);
        at = narrow.indexOf(this.literal, starts[offset + 1]);
      }
      return true;
    }
    const expression = this.expression as RegExp;
    expression.lastIndex = 0;
    for (let match = expression.exec(narrow); match !== null; match = expression.exec(narrow)) {
      if (match[0].includes("\n")) return false;
      while (offset < count && (starts[offset + 1] as number) <= match.index) offset++;
      if (offset >= count) break;
      if (!wide.has(offset)) take(offset);
      const next = starts[offset + 1] as number;
      if (next >= narrow.length) break;
      expression.lastIndex = next;
    }
    return true;
  }
}
