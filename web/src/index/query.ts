/** What a person looks for, and the expression that it means. Pure. */

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
