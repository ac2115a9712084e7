/** What a person searches for, and the expression that it means. Pure. */

export interface Query {
  readonly text: string;
  readonly regex: boolean;
  readonly matchCase: boolean;
  readonly word: boolean;
  /** Streams to hide, and whether to hide the frames of stack traces. */
  readonly hide: readonly ("stdout" | "stderr" | "system" | "frames")[];
  /** Lowest level to show; 0 shows all. */
  readonly level: number;
}

export const MATCH_ALL: Query = { text: "", regex: false, matchCase: false, word: false, hide: [], level: 0 };

/** Return the expression of a query, to be applied line by line, or null for no text. Throws SyntaxError. */
export function expressionOf({ text, regex, matchCase, word }: Query): RegExp | null {
  if (text === "") return null;
  const source = regex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // Letters and digits of any script count as part of a word.
  const bounded = word ? `(?<![\\p{L}\\p{N}_])(?:${source})(?![\\p{L}\\p{N}_])` : source;
  const flags = `gm${matchCase ? "" : "i"}${word ? "u" : ""}`;
  try {
    // recheck: what a person typed; the worker that searches with it is ended when it takes too long
    return new RegExp(bounded, flags);
  } catch (error) {
    // An expression that is invalid only with the "u" flag (such as an escaped letter) is still valid to most people.
    if (!word) throw error;
    // recheck: as above
    return new RegExp(`\\b(?:${source})\\b`, flags.replace("u", ""));
  }
}
