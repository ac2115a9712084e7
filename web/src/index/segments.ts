/**
 * A job's segments in order, and the lines that a query finds in them, including lines that continue across batches.
 * Pure.
 *
 * A line is found at its first entry. Each stream's lines are joined across adjacent batches. The result does not
 * depend on the order in which batches arrived.
 */
import type { Matcher, Segment } from "./segment";

/** Longer lines are searched in parts, so that a program that never ends its line costs no more than what it writes. */
export const LINE_CHARS = 1_048_576;
/** Overlap of two parts: a match up to this length is found. */
export const OVERLAP_CHARS = 65_536;

type Kind = 0 | 1;
const KINDS: readonly Kind[] = [0, 1];

/** How far an endless line was searched. */
interface Searched {
  readonly found: boolean;
  /** The next batch to search. */
  readonly next: number;
  /** The text before it that is searched again. */
  readonly carried: string;
}

export class Segments {
  /** Ascending by first. */
  readonly all: Segment[] = [];
  private matcher: Matcher | null = null;
  private readonly hits = new Map<number, readonly number[]>();
  private readonly edgeHits = new Map<number, readonly number[]>();
  /** Lines that continue across batches, by their first sequence. */
  private readonly searched = new Map<number, Searched>();

  constructor(
    private readonly lineChars = LINE_CHARS,
    private readonly overlapChars = OVERLAP_CHARS,
  ) {}

  get length(): number {
    return this.all.length;
  }

  /** Set another query, or none, and forget what was found. */
  look(matcher: Matcher | null): void {
    this.matcher = matcher;
    this.hits.clear();
    this.edgeHits.clear();
    this.searched.clear();
  }

  /** Add a segment and return its index. */
  insert(segment: Segment): number {
    let at = this.all.length;
    while (at > 0 && (this.all[at - 1] as Segment).first > segment.first) at--;
    this.all.splice(at, 0, segment);
    return at;
  }

  /** Search a segment that was loaded before the query. */
  match(at: number): void {
    if (this.matcher === null) return;
    const segment = this.all[at] as Segment;
    this.hits.set(segment.first, this.matcher.find(segment));
    this.matchEdges(at);
  }

  /** Search a segment that was loaded after the query, and the lines that it completes. */
  matchNew(at: number): void {
    this.match(at);
    for (const kind of KINDS) {
      const { silent, begins } = this.edges(at, kind);
      const head = silent || begins >= 0 ? this.headOf(at, kind) : at;
      if (head !== at) this.matchEdges(head);
      // What was the rest of a line in a later segment may now have a beginning.
      for (let next = at + 1; this.follows(next); next++) {
        if (this.edges(next, kind).silent) continue;
        this.matchEdges(next);
        break;
      }
    }
  }

  /** Return what was found in a segment, ascending. */
  found({ first }: Segment): readonly number[] {
    const [lines, edges] = [this.hits.get(first) ?? NONE, this.edgeHits.get(first) ?? NONE];
    if (edges.length === 0) return lines;
    return lines.length === 0 ? edges : [...lines, ...edges].sort((a, b) => a - b);
  }

  private edges(at: number, kind: Kind): Segment["edges"][Kind] {
    return (this.all[at] as Segment).edges[kind];
  }

  /** Return whether a segment and the one right before it are loaded. */
  private follows(at: number): boolean {
    const [before, segment] = [this.all[at - 1], this.all[at]];
    return before !== undefined && segment !== undefined && before.first + before.count === segment.first;
  }

  /**
   * Return the index of the segment where the line begins that continues into this one; its own index when there is
   * none.
   */
  private headOf(at: number, kind: Kind): number {
    let head = at;
    for (let before = at; this.follows(before); before--) {
      const edges = this.edges(before - 1, kind);
      if (edges.silent) continue;
      if (edges.ends < 0) break;
      head = before - 1;
      // A rest that continues as well: the line begins in an earlier batch.
      if (edges.ends !== edges.begins) break;
    }
    return head;
  }

  private matchEdges(at: number): void {
    const matcher = this.matcher;
    if (matcher === null) return;
    const segment = this.all[at] as Segment;
    const found: number[] = [];
    for (const kind of KINDS) {
      const { begins, ends } = segment.edges[kind];
      for (const offset of begins === ends ? [begins] : [begins, ends]) {
        if (offset < 0 || (offset === begins && this.headOf(at, kind) !== at)) continue;
        if (matcher.wantsEdge(segment, offset) && this.matches(matcher, at, kind, offset))
          found.push(segment.first + offset);
      }
    }
    this.edgeHits.set(
      segment.first,
      found.sort((a, b) => a - b),
    );
  }

  /** Return whether the line that begins at an offset matches, with all of it that is loaded. */
  private matches(matcher: Matcher, at: number, kind: Kind, offset: number): boolean {
    const head = (this.all[at] as Segment).first + offset;
    const known = this.searched.get(head);
    if (known?.found === true) return true;
    let text = known?.carried ?? "";
    let parts = known !== undefined;
    let open = true;
    for (let here = at; open; here++) {
      if (here > at && !this.follows(here)) break;
      const { first, edgeTexts } = this.all[here] as Segment;
      const edges = this.edges(here, kind);
      if (here > at && edges.silent) continue;
      const own = here === at ? offset : edges.begins;
      if (own < 0) break;
      open = edges.ends === own;
      if (known !== undefined && first < known.next) continue;
      text += edgeTexts.get(own) ?? "";
      while (text.length > this.lineChars) {
        const part = text.slice(0, this.lineChars);
        if (matcher.has(part, parts ? 1 : 0, false)) {
          this.searched.set(head, { found: true, next: 0, carried: "" });
          return true;
        }
        text = text.slice(this.lineChars - this.overlapChars);
        parts = true;
        if (text.length <= this.lineChars) this.searched.set(head, { found: false, next: first + 1, carried: text });
      }
    }
    return matcher.has(text, parts ? 1 : 0, true);
  }
}

const NONE: readonly number[] = [];
