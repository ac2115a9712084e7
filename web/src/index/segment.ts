/**
 * One batch prepared for searching: its visible lines in one string, with the level of each. Pure.
 *
 * A line that was split into several entries is one line, at its first entry. A line at the edge of the batch, which
 * another batch may continue or begin, is kept as written for `Segments` to join.
 *
 * There is one string per batch because a regular expression runs several times faster over a megabyte than over ten
 * thousand short strings. A JavaScript string takes one byte per character only while none is above U+00FF. Lines with
 * others are therefore kept apart: a few must not double the memory of all.
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
  /** All lines, each ended by "\n"; merged lines contain more of them. Wide lines are empty here. */
  readonly narrow: string;
  /** Offset of each line in `narrow`, and the end. */
  readonly starts: Uint32Array;
  /** Lines with characters above U+00FF, by offset. */
  readonly wide: ReadonlyMap<number, string>;
  /** Level of each line, 0 for none. */
  readonly levels: Uint8Array;
  /** 0 stdout, 1 stderr, 2 system, 3 a continuation of an earlier line. */
  readonly streams: Uint8Array;
  /** For stdout and for stderr. */
  readonly edges: readonly [Edges, Edges];
  /** The text of lines at an edge as written; they are empty in `narrow`. */
  readonly edgeTexts: ReadonlyMap<number, string>;
  /** 1 for a frame of a stack trace; its head has 0. */
  readonly frames: Uint8Array;
  /** Times that order the lines among several jobs. */
  readonly times: Float64Array;
}

/** Lines of a stream that other batches may contain a part of, by offset; -1 for none. */
export interface Edges {
  /** The rest of a line that begins in an earlier batch. */
  readonly begins: number;
  /** The line that may continue in a later batch. */
  readonly ends: number;
  /** The batch has no entry of the stream, so a line may continue across it. */
  readonly silent: boolean;
}

const PIECE = 3;
const WIDE = /[^\u0000-\u00ff]/;

interface JoinedEntries {
  readonly texts: readonly string[];
  readonly edges: readonly [Edges, Edges];
  /** Offsets of entries that continue an earlier line. */
  readonly pieces: ReadonlySet<number>;
}

/** Return each line's entries joined at its first one. */
function joinEntries({ streams, texts }: Pick<Columns, "streams" | "texts">): JoinedEntries {
  const all = texts as string[];
  const pieces = new Map<number, number>();
  const parts = new Map<number, string[]>();
  const edges = [0, 1].map((kind) => {
    const own = kind === 0 ? "o" : "e";
    const goesOn = own.toUpperCase();
    // Most batches have no continuation: then only the last line of a stream may continue.
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
  const { texts, edges, pieces } = joinEntries(columns);
  const atEdge = new Set(edges.flatMap(({ begins, ends }) => [begins, ends]));
  const edgeTexts = new Map<number, string>();
  const count = texts.length;
  const [levels, kinds, starts] = [new Uint8Array(count), new Uint8Array(count), new Uint32Array(count + 1)];
  const frames = new Uint8Array(count);
  // For stdout and stderr, which may alternate line by line.
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

/** Parts of an expression that treat the end of a text as the end of a line, or look at it. */
const SEES_THE_END = /\$|\(\?|\\b/i;

/** Finds the lines of a segment that match a query. Created once per query and used for every segment. */
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
    // Lookaround sees the next line where lines are joined. Any other match that includes a line end is detected.
    this.lineByLine = query.regex && /\(\?<?[!=]|\\n/.test(query.text);
    this.hidden = (["stdout", "stderr", "system"] as const).map((stream) => query.hide.includes(stream));
    this.folded = query.hide.includes("frames");
  }

  /** Return whether a line at an edge passes the filters, so that its text decides. */
  wantsEdge(segment: Segment, offset: number): boolean {
    return this.wanted(segment, offset);
  }

  /**
   * Return whether a line as written matches. `from` skips the first character of a part of an endless line; `ends`
   * says that nothing follows.
   */
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

  /** Return the sequences of the matching lines, ascending, without lines at an edge. */
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

  /**
   * Search all lines at once. Returns false when a match crossed a line end, so that each line must be searched
   * separately.
   */
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
