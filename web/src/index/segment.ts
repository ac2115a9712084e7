/**
 * One batch made ready for searching: its visible lines in one string, with the level of each. Pure.
 *
 * A line that was cut into several entries is one, at its first entry. Where it may go on in another batch, or is the rest of a line of one
 * before, it is kept as it was written, for `Segments` to join.
 *
 * One string a batch, because a regular expression over a megabyte runs several times faster than over ten thousand short strings. A
 * JavaScript string takes one byte a character only while none is above U+00FF, so lines with others are kept apart: a few of
 * them must not double the memory of all.
 */
import type { Columns } from "../log/body";
import { continuable } from "../log/continuation";
import { monotonicTimes } from "../log/mergeOrder";
import { describeEvent } from "../text/events";
import { type Level, levelOf } from "../text/levels";
import { plain } from "../text/terminal";
import { type TraceRole, traceRoleAfter } from "../text/trace";
import { expressionOf, type Query } from "./query";

export interface Segment {
  readonly first: number;
  readonly count: number;
  /** All lines, each ended by "\n"; merged ones have others within. Wide lines are empty here. */
  readonly narrow: string;
  /** Where each line begins in `narrow`, and the end. */
  readonly starts: Uint32Array;
  /** Lines with characters above U+00FF, by offset. */
  readonly wide: ReadonlyMap<number, string>;
  /** Level of each line, 0 for none. */
  readonly levels: Uint8Array;
  /** 0 stdout, 1 stderr, 2 system, 3 a piece of a line that begins before it. */
  readonly streams: Uint8Array;
  /** Of stdout and of stderr. */
  readonly edges: readonly [Edges, Edges];
  /** The text of lines at an edge, as they were written; they are empty in `narrow`. */
  readonly edgeTexts: ReadonlyMap<number, string>;
  /** 1 for a stack trace's frame; its head has 0. */
  readonly frames: Uint8Array;
  /** By which its lines stand. */
  readonly times: Float64Array;
}

/** The lines of a stream that other batches may have a part of, by offset; -1 for none. */
export interface Edges {
  /** The rest of a line that begins in a batch before. */
  readonly begins: number;
  /** The line that may go on in a batch after. */
  readonly ends: number;
  /** The batch has no entry of the stream: a line goes on over it. */
  readonly silent: boolean;
}

const PIECE = 3;
const WIDE = /[^\u0000-\u00ff]/;

interface Joined {
  readonly texts: readonly string[];
  readonly edges: readonly [Edges, Edges];
  /** Offsets of pieces that are part of a line before them. */
  readonly pieces: ReadonlySet<number>;
}

/** The pieces of each line joined at its first entry. */
function joined({ streams, texts }: Pick<Columns, "streams" | "texts">): Joined {
  const all = texts as string[];
  const pieces = new Map<number, number>();
  const parts = new Map<number, string[]>();
  const edges = [0, 1].map((kind) => {
    const own = kind === 0 ? "o" : "e";
    const goesOn = own.toUpperCase();
    // Nearly all batches have no piece: then only the last line of a stream may go on.
    if (!streams.includes(goesOn)) {
      const last = streams.lastIndexOf(own);
      return { begins: -1, ends: last >= 0 && continuable(all[last] as string) ? last : -1, silent: last < 0 };
    }
    let [begins, head, seen] = [-1, -1, false];
    for (let offset = 0; offset < all.length; offset++) {
      const stream = streams[offset];
      if (stream !== own && stream !== goesOn) continue;
      const text = all[offset] as string;
      if (stream === goesOn && head >= 0) {
        const line = parts.get(head);
        if (line === undefined) parts.set(head, [all[head] as string, text]);
        else line.push(text);
        pieces.set(offset, head);
      } else {
        if (stream === goesOn && !seen) begins = offset;
        head = offset;
      }
      seen = true;
      if (!continuable(text)) head = -1;
    }
    return { begins, ends: head, silent: false };
  }) as [Edges, Edges];
  if (parts.size === 0) return { texts: all, edges, pieces: NO_PIECES };
  const made = [...all];
  for (const offset of pieces.keys()) made[offset] = "";
  for (const [head, line] of parts) made[head] = line.join("");
  return { texts: made, edges, pieces: new Set(pieces.keys()) };
}

const NO_PIECES: ReadonlySet<number> = new Set();

export function segmentOf(first: number, columns: Columns): Segment {
  const { streams, times } = columns;
  const { texts, edges, pieces } = joined(columns);
  const atEdge = new Set(edges.flatMap(({ begins, ends }) => [begins, ends]));
  const edgeTexts = new Map<number, string>();
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
    if (pieces.has(offset)) kinds[offset] = PIECE;
    else if (stream === "s") {
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
      if (atEdge.has(offset)) {
        edgeTexts.set(offset, texts[offset] as string);
        line = "";
      }
    }
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
  return {
    first,
    count,
    narrow: lines.join("\n"),
    starts,
    wide,
    levels,
    streams: kinds,
    edges,
    edgeTexts,
    frames,
    times: monotonicTimes(times),
  };
}

/** What takes the end of a text for a line's end, or sees it. */
const SEES_THE_END = /\$|\(\?|\\b/i;

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

  /** Whether a line at an edge is found by this, if its text is. */
  wantsEdge(segment: Segment, offset: number): boolean {
    return this.wanted(segment, offset);
  }

  /** Whether a line is found that was written so. `from`: a part of an endless line, of which the first character only stands before it; `ends`: nothing follows. */
  has(written: string, from = 0, ends = true): boolean {
    if (this.expression === null) return true;
    const line = plain(written);
    this.expression.lastIndex = from;
    if (ends) return this.expression.test(line);
    const match = this.expression.exec(line);
    if (match === null) return false;
    const seesTheEnd = this.query.word || (this.query.regex && SEES_THE_END.test(this.query.text));
    return !seesTheEnd || match.index + match[0].length < line.length;
  }

  /** Sequences of the matching lines, ascending. Lines at an edge are left out. */
  find(segment: Segment): number[] {
    const found: number[] = [];
    const take = (offset: number): void => {
      if (this.wanted(segment, offset) && !segment.edgeTexts.has(offset)) found.push(segment.first + offset);
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
    if (segment.streams[offset] === PIECE) return false;
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
