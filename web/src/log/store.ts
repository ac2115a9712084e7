/**
 * One job's batches, kept compressed and keyed by sequence; few of them are decompressed at a time.
 *
 * A million lines take some 10 to 25 MB this way. `unpackedBytes` bounds what is decompressed; the last used stay.
 */

import { PLAIN, render, type Style } from "../text/terminal";
import type { BatchFacts } from "../wire/messages";
import { type Columns, decodeBody, fromBase64 } from "./body";
import { continuable } from "./continuation";
import { tryOr } from "./tryOr";

export interface Batch {
  readonly first: number;
  readonly count: number;
  readonly start: number;
  readonly end: number;
  readonly raw: number;
  readonly body: Uint8Array;
}

/** A decompressed batch. `broken` says why it could not be decoded. */
export interface Unpacked {
  readonly batch: Batch;
  readonly columns: Columns;
  readonly broken: string | null;
  /** The styles that stdout and stderr begin with in this batch, once known. */
  styles: StyleTrack | null;
}

/** A line's text, with all its pieces joined. */
export interface JoinedLine {
  /** The text from its beginning; only the beginning of a very long line. */
  readonly text: string;
  /** Characters of all loaded pieces. */
  readonly length: number;
  /** The last sequence that belongs to the line. */
  readonly last: number;
  /** False when it may continue in a batch that is not loaded. */
  readonly whole: boolean;
}

interface StyleTrack {
  readonly out: readonly Style[];
  readonly err: readonly Style[];
}

const EMPTY: Columns = { times: new Float64Array(0), streams: "", texts: [] };
/**
 * A longer line is cut at the end of the piece that reaches this many characters. Chromium takes 0.8 s to lay out this
 * many Thai vowels, its slowest letters (2026-11); twice as many took 1.2 s.
 */
const MAX_SHOWN_CHARS = 131_072;
/** How many lines longer than that to remember; each holds its beginning. */
const MAX_LONG_LINES = 16;

export class Store {
  /** Ascending by first, never overlapping. */
  private batches: Batch[] = [];
  /** Compressed bytes held. */
  bytes = 0;
  raw = 0;
  private readonly unpacked = new Map<number, Unpacked>();
  private unpackedRaw = 0;

  /**
   * How far long lines were read, by their first sequence: while such a line arrives, it is not read again from its
   * beginning.
   */
  private readonly long = new Map<number, JoinedLine>();

  constructor(private readonly unpackedBytes = 24 * 1024 * 1024) {}

  /**
   * Add a batch unless its sequences are held, and return whether it was added. Throws WireError when its body is not
   * base64.
   */
  add(facts: BatchFacts): boolean {
    const at = this.position(facts.first);
    const here = this.batches[at];
    if (here !== undefined && here.first < facts.first + facts.count) return false;
    const batch: Batch = {
      first: facts.first,
      count: facts.count,
      start: facts.start,
      end: facts.end,
      raw: facts.raw,
      body: fromBase64(facts.body),
    };
    if (at === this.batches.length) this.batches.push(batch);
    else this.batches.splice(at, 0, batch);
    this.bytes += batch.body.byteLength;
    this.raw += batch.raw;
    return true;
  }

  get all(): readonly Batch[] {
    return this.batches;
  }

  /** Return the batch that holds a sequence. */
  holding(sequence: number): Batch | null {
    const batch = this.batches[this.position(sequence)];
    return batch === undefined || batch.first > sequence ? null : batch;
  }

  /** Return the decompressed batch that holds a sequence. */
  at(sequence: number): Unpacked | null {
    const batch = this.holding(sequence);
    return batch === null ? null : this.unpack(batch);
  }

  /** Return the first loaded sequence at or after `sequence`. */
  following(sequence: number): number | null {
    const batch = this.batches[this.position(sequence)];
    return batch === undefined ? null : Math.max(sequence, batch.first);
  }

  unpack(batch: Batch): Unpacked {
    const known = this.unpacked.get(batch.first);
    if (known !== undefined) {
      this.unpacked.delete(batch.first);
      this.unpacked.set(batch.first, known);
      return known;
    }
    let made: Unpacked;
    try {
      made = { batch, columns: decodeBody(batch.body, batch.count), broken: null, styles: null };
    } catch (error) {
      made = { batch, columns: EMPTY, broken: error instanceof Error ? error.message : "unreadable", styles: null };
    }
    this.unpacked.set(batch.first, made);
    this.unpackedRaw += batch.raw;
    for (const [first, old] of this.unpacked) {
      if (this.unpackedRaw <= this.unpackedBytes || first === batch.first) break;
      this.unpacked.delete(first);
      this.unpackedRaw -= old.batch.raw;
    }
    return made;
  }

  /** Return the line that begins at `sequence`, with its loaded continuations. */
  line(sequence: number, most = MAX_SHOWN_CHARS): JoinedLine {
    const known = this.long.get(sequence);
    if (known !== undefined) return known.whole ? known : this.extend(sequence, known, most);
    const here = this.at(sequence);
    if (here === null || here.broken !== null) return { text: "", length: 0, last: sequence, whole: false };
    const text = here.columns.texts[sequence - here.batch.first] as string;
    return this.extend(sequence, { text, length: text.length, last: sequence, whole: !continuable(text) }, most);
  }

  /** Join the continuations that follow what is known of a line. */
  private extend(sequence: number, known: JoinedLine, most: number): JoinedLine {
    let { text, length, last, whole } = known;
    let here = this.at(last);
    if (here === null || here.broken !== null) return known;
    const stream = here.columns.streams[last - here.batch.first] as string;
    const [own, goesOn] = [stream.toLowerCase(), stream.toUpperCase()];
    for (let next = last + 1; !whole; next++) {
      if (next >= here.batch.first + here.batch.count) {
        here = this.at(next);
        if (here === null || here.broken !== null) break;
      }
      const offset = next - here.batch.first;
      const found = here.columns.streams[offset];
      if (found === goesOn) {
        const piece = here.columns.texts[offset] as string;
        if (text.length < most) text += piece;
        length += piece.length;
        last = next;
        whole = !continuable(piece);
      } else if (found === own) whole = true;
    }
    const line = { text, length, last, whole };
    if (length > text.length) {
      if (this.long.size >= MAX_LONG_LINES) this.long.clear();
      this.long.set(sequence, line);
    }
    return line;
  }

  /**
   * Return the first sequence of the line that an entry belongs to; the entry's own when that is not loaded or more
   * than `most` entries back.
   */
  beginning(sequence: number, most: number): number {
    let here = this.at(sequence);
    if (here === null || here.broken !== null) return sequence;
    const goesOn = here.columns.streams[sequence - here.batch.first] as string;
    if (goesOn !== "O" && goesOn !== "E") return sequence;
    const own = goesOn.toLowerCase();
    for (let before = sequence - 1; before > 0 && sequence - before <= most; before--) {
      if (before < here.batch.first) here = this.at(before);
      if (here === null || here.broken !== null) break;
      if (here.columns.streams[before - here.batch.first] === own) return before;
    }
    return sequence;
  }

  /** Return whether the entry continues a loaded one, so that it has no row of its own. */
  continuesKnownLine(sequence: number, stream: string): boolean {
    const own = stream.toLowerCase();
    for (let before = sequence - 1; before > 0; before--) {
      const here = this.at(before);
      if (here === null || here.broken !== null) return false;
      const streams = here.columns.streams;
      for (let offset = before - here.batch.first; offset >= 0; offset--) {
        const found = streams[offset] as string;
        if (found === own || found === stream) return true;
      }
      before = here.batch.first;
    }
    return false;
  }

  /**
   * Return the style that a line begins with: colours that earlier lines of its stream left on, as far back as its
   * batch begins.
   */
  styleAt(here: Unpacked, offset: number): Style {
    here.styles ??= track(here.columns);
    const stream = here.columns.streams[offset];
    const styles = stream === "e" || stream === "E" ? here.styles.err : here.styles.out;
    return styles.length === 0 ? PLAIN : (styles[offset] ?? PLAIN);
  }

  /** Return the index of the first batch that ends at or after `sequence`. */
  private position(sequence: number): number {
    let [low, high] = [0, this.batches.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const batch = this.batches[middle] as Batch;
      if (batch.first + batch.count <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Return the styles before each line, per stream; empty when the batch has no escape sequence. */
function track({ streams, texts }: Columns): StyleTrack {
  const [out, err]: [Style[], Style[]] = [[], []];
  let [outPen, errPen] = [PLAIN, PLAIN];
  for (let at = 0; at < texts.length; at++) {
    const text = texts[at] as string;
    const isErr = streams[at] === "e" || streams[at] === "E";
    if (out.length > 0) {
      out[at] = outPen;
      err[at] = errPen;
    }
    if (!text.includes("\u001b[") || streams[at] === "s") continue;
    if (out.length === 0) {
      for (let before = 0; before <= at; before++) out[before] = err[before] = PLAIN;
    }
    const pen = isErr ? errPen : outPen;
    const next = tryOr(() => render(text, pen).style, pen);
    if (isErr) errPen = next;
    else outPen = next;
  }
  return { out, err };
}
