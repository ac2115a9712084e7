/**
 * A job's segments in their order, and the lines that a query finds in them: also those that go on from one batch to the next. Pure.
 *
 * A line is found at its first entry. Each stream's lines are joined over batches that follow each other; which of them are here, and in
 * which order they came, makes no difference to what is found in the end.
 */
import type { Matcher, Segment } from "./segment";

/** A longer line is searched in parts, so that a program that never ends its line costs no more than what it writes. */
export const LINE_CHARS = 1_048_576;
/** So much of a part is looked at again with what follows: a match up to this long is found. */
export const OVERLAP_CHARS = 65_536;

type Kind = 0 | 1;
const KINDS: readonly Kind[] = [0, 1];

/** How far an endless line was searched. */
interface Searched {
  readonly found: boolean;
  /** The next batch to be looked at. */
  readonly next: number;
  /** What stands before it. */
  readonly carried: string;
}

export class Segments {
  /** Ascending by first. */
  readonly all: Segment[] = [];
  private matcher: Matcher | null = null;
  private readonly hits = new Map<number, readonly number[]>();
  private readonly edgeHits = new Map<number, readonly number[]>();
  /** Of lines that go on over batches, by their first sequence. */
  private readonly searched = new Map<number, Searched>();

  constructor(
    private readonly lineChars = LINE_CHARS,
    private readonly overlapChars = OVERLAP_CHARS,
  ) {}

  get length(): number {
    return this.all.length;
  }

  /** Another query, or none: nothing is found yet. */
  look(matcher: Matcher | null): void {
    this.matcher = matcher;
    this.hits.clear();
    this.edgeHits.clear();
    this.searched.clear();
  }

  /** Adds a segment; the place that it has now. */
  insert(segment: Segment): number {
    let at = this.all.length;
    while (at > 0 && (this.all[at - 1] as Segment).first > segment.first) at--;
    this.all.splice(at, 0, segment);
    return at;
  }

  /** Searches a segment that was here when the query came. */
  match(at: number): void {
    if (this.matcher === null) return;
    const segment = this.all[at] as Segment;
    this.hits.set(segment.first, this.matcher.find(segment));
    this.matchEdges(at);
  }

  /** Searches a segment that came since, and the lines that it makes longer. */
  matchNew(at: number): void {
    this.match(at);
    for (const kind of KINDS) {
      const { silent, begins } = this.edges(at, kind);
      const head = silent || begins >= 0 ? this.headOf(at, kind) : at;
      if (head !== at) this.matchEdges(head);
      // The rest with which a later one begins may be a rest no more.
      for (let next = at + 1; this.follows(next); next++) {
        if (this.edges(next, kind).silent) continue;
        this.matchEdges(next);
        break;
      }
    }
  }

  /** What was found in a segment, ascending. */
  found({ first }: Segment): readonly number[] {
    const [lines, edges] = [this.hits.get(first) ?? NONE, this.edgeHits.get(first) ?? NONE];
    if (edges.length === 0) return lines;
    return lines.length === 0 ? edges : [...lines, ...edges].sort((a, b) => a - b);
  }

  private edges(at: number, kind: Kind): Segment["edges"][Kind] {
    return (this.all[at] as Segment).edges[kind];
  }

  /** Whether a segment is here, and so is the one right before it. */
  private follows(at: number): boolean {
    const [before, segment] = [this.all[at - 1], this.all[at]];
    return before !== undefined && segment !== undefined && before.first + before.count === segment.first;
  }

  /** The segment in which the line begins that goes on into this one; the segment itself where none does. */
  private headOf(at: number, kind: Kind): number {
    let head = at;
    for (let before = at; this.follows(before); before--) {
      const edges = this.edges(before - 1, kind);
      if (edges.silent) continue;
      if (edges.ends < 0) break;
      head = before - 1;
      // A rest that goes on, too: the line begins in a batch before.
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

  /** Whether the line that begins at an offset is found, with all that is here of it. */
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
