/** JSON lines, unfolded: the document as lines of tokens, bounded, in its original order, as text only. */

export type TokenKind = "key" | "string" | "number" | "word" | "mark";

export interface Token {
  /** Indentation of the line, in levels. */
  readonly depth: number;
  readonly text: string;
  readonly kind: TokenKind;
}

/** Longer documents stay text: unfolding them would not show more than scrolling does. */
const MAX_CHARS = 262_144;
const MAX_LINES = 2_000;
const MAX_DEPTH = 64;
/** A document may follow a short prefix, as in `api-1 | {"a":1}`. */
const MAX_PREFIX_CHARS = 200;

/** Return whether a line looks like JSON. Cheap, and right for nearly all lines; `unfold` decides. */
export function looksJson(plain: string): boolean {
  if (plain.length < 7 || plain.length > MAX_CHARS) return false;
  const start = beginning(plain);
  if (start < 0) return false;
  const close = plain.trimEnd().at(-1);
  return plain[start] === "{"
    ? close === "}" && plain.indexOf('"', start) > 0
    : close === "]" && plain.indexOf("{", start) > 0;
}

/** Return the document in a line as lines of tokens; null when there is none. */
export function unfold(plain: string): Token[][] | null {
  if (!looksJson(plain)) return null;
  const source = plain.slice(beginning(plain)).trim();
  try {
    JSON.parse(source);
  } catch {
    return null;
  }
  return layOut(source);
}

function beginning(text: string): number {
  const at = text.search(/[{[]/);
  if (at < 0 || at > MAX_PREFIX_CHARS) return -1;
  const prefix = text.slice(0, at);
  if (prefix.trim() === "") return at;
  return text[at] === "{" && /[\s:=|]$/.test(prefix) ? at : -1;
}

const PIECE = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/**
 * Lay out the source itself instead of the result of JSON.parse. Numbers keep all digits, repeated keys are all shown,
 * and keys keep their order. `source` is valid JSON.
 */
function layOut(source: string): Token[][] {
  const lines: Token[][] = [];
  let line: Token[] = [];
  let depth = 0;
  const end = (): void => {
    if (line.length > 0) lines.push(line);
    line = [];
  };
  const add = (text: string, kind: TokenKind): void => {
    line.push({ depth: Math.min(depth, MAX_DEPTH), text, kind });
  };
  const pieces = source.match(PIECE) ?? [];
  for (let at = 0; at < pieces.length; at++) {
    if (lines.length >= MAX_LINES) {
      line = [];
      depth = 0;
      add("… the line itself has the rest of the document", "mark");
      break;
    }
    const piece = pieces[at] as string;
    const next = pieces[at + 1];
    switch (piece[0]) {
      case "{":
      case "[":
        if (next === "}" || next === "]") {
          add(piece + next, "mark");
          at++;
        } else {
          add(piece, "mark");
          end();
          depth++;
        }
        break;
      case "}":
      case "]":
        end();
        depth--;
        add(piece, "mark");
        break;
      case ",":
        add(",", "mark");
        end();
        break;
      case ":":
        add(": ", "mark");
        break;
      case '"':
        add(piece, next === ":" ? "key" : "string");
        break;
      default:
        add(piece, /^[-\d]/.test(piece) ? "number" : "word");
    }
  }
  end();
  return lines;
}
