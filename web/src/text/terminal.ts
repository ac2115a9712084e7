/**
 * What a terminal would show of one line: styled spans of plain text, never markup.
 *
 * SGR (16, 256 and true colours, weight, slant, underline), carriage return, backspace, cursor moves within the line
 * and erasing are carried out. Hyperlinks are kept if they are http(s). Every other sequence is removed.
 *
 * Nothing may hide text from a reader. An unterminated string sequence shows what it would have swallowed, and
 * "conceal" is ignored. Bidirectional overrides are shown as U+FFFD because they would reorder the text
 * (CVE-2021-42574), and so are Unicode's line separators because they would split a line.
 *
 * An entry of several lines, as the agent merges them, is shown as several, each as a terminal would show it. A
 * hyperlink whose text reads as another site's address becomes plain text; any other hyperlink names the host that it
 * leads to, unless its text does.
 */
import { followable } from "./links";

export const BOLD = 1;
export const DIM = 2;
export const ITALIC = 4;
export const UNDERLINE = 8;
export const STRIKE = 16;

/** A colour: 0 to 255 of the palette, or RGB + 0x1000000. */
export type Colour = number;
export const RGB = 0x1000000;

export interface Style {
  readonly fg: Colour | null;
  readonly bg: Colour | null;
  /** BOLD | DIM | ... */
  readonly flags: number;
  readonly inverse: boolean;
}

export interface StyledText {
  readonly text: string;
  /** Absent for plain text. */
  readonly style?: Style;
  /** Absolute http(s) address. */
  readonly href?: string;
  /** The host that a program's hyperlink leads to, if its text does not name it; on the last span of the link. */
  readonly leads?: string;
}

export const PLAIN: Style = { fg: null, bg: null, flags: 0, inverse: false };

/** A column past this is a mistake or an attack: the spaces before it would have to be created. */
const MAX_COLUMN = 2_000;
/**
 * Cells that one line's sequences may move or erase before they are ignored: 40,000 erasures of a long line would take
 * seconds.
 */
const MAX_WORK = 1_000_000;
/** A line with more style changes keeps its last style: each span is an element of the page. */
const MAX_SPANS = 2_000;

const SPECIAL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
const MOVES = /[\r\b]|\u001b\[[0-9;:]*[CDGKPX@`a]/;
const TOKEN =
  /\u001b\[([\u0030-\u003f]*)[\u0020-\u002f]*([\u0040-\u007e])|\u001b\]([^\u0007\u001b]*)(?:\u0007|\u001b\\)|\u001b[PX^_][^\u001b]*\u001b\\|\u001b[\u0020-\u002f]+[\u0030-\u007e]|\u001b[\u0030-\u007e]?|[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

export interface Rendered {
  readonly spans: readonly StyledText[];
  /** The style that the next line of the stream begins with. */
  readonly style: Style;
}

export function render(line: string, style: Style = PLAIN): Rendered {
  if (!line.includes("\n")) {
    const { spans, style: after } = renderLine(line, style);
    return { spans: joinSpans(spans), style: after };
  }
  const spans: StyledText[] = [];
  let pen = style;
  for (const [at, one] of line.split("\n").entries()) {
    const rendered = renderLine(one, pen);
    if (at > 0) spans.push({ text: "\n" });
    for (const part of rendered.spans) spans.push(part);
    pen = rendered.style;
  }
  return { spans: joinSpans(spans), style: pen };
}

function renderLine(line: string, style: Style): Rendered {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (!SPECIAL.test(text)) return { spans: text === "" ? [] : [span(text, style, undefined)], style };
  const screen: Screen = MOVES.test(text) ? new Cells() : new Runs();
  let [at, pen, href] = [0, style, undefined as string | undefined];
  TOKEN.lastIndex = 0;
  for (let token = TOKEN.exec(text); token !== null; token = TOKEN.exec(text)) {
    if (token.index > at) screen.put(text.slice(at, token.index), pen, href);
    at = TOKEN.lastIndex;
    const [whole, parameters, final, osc] = token;
    if (final !== undefined) {
      if (final === "m") {
        // "ESC [ > m" and the like are not SGR.
        if (!/[<=>?]/.test(parameters ?? "")) pen = sgr(parameters ?? "", pen);
      } else screen.control(final, Number.parseInt(parameters ?? "", 10));
    } else if (osc !== undefined) {
      if (osc.startsWith("8;")) href = followable(osc.slice(osc.indexOf(";", 2) + 1));
    } else if (whole === "\r" || whole === "\b") screen.control(whole, 1);
    else if (whole === "\u001bc") pen = PLAIN;
    else screen.put(replacementFor(whole), pen, href);
  }
  if (at < text.length) screen.put(text.slice(at), pen, href);
  return { spans: screen.spans(), style: pen };
}

/** Return what replaces a character that must not act: nothing for most. */
function replacementFor(token: string): string {
  return token >= "\u2028" && token < "\uffff" ? "\ufffd" : "";
}

type Joined = { -readonly [K in keyof StyledText]: StyledText[K] };

/**
 * Join neighbouring spans of one style, bound their number, unlink misleading hyperlinks, and name the hosts of the
 * others.
 */
function joinSpans(spans: readonly StyledText[]): StyledText[] {
  const joined: Joined[] = [];
  for (const part of spans) {
    const before = joined.at(-1);
    if (
      before !== undefined &&
      (joined.length >= MAX_SPANS || (before.href === part.href && sameStyle(before.style, part.style)))
    ) {
      before.text += part.text;
    } else if (part.text !== "") joined.push({ ...part });
  }
  for (let at = 0; at < joined.length; at++) {
    const href = joined[at]?.href;
    if (href === undefined) continue;
    let end = at + 1;
    while (joined[end]?.href === href) end++;
    const text = joined
      .slice(at, end)
      .map((part) => part.text)
      .join("");
    const { host } = new URL(href);
    const named = firstHost(text);
    if (named !== null && named !== withoutWww(host)) for (let part = at; part < end; part++) delete joined[part]?.href;
    // The text does not name the link's host: show it after the link.
    else if (!isHostOnly(text, host)) (joined[end - 1] as Joined).leads = host;
    at = end - 1;
  }
  return joined;
}

/**
 * A host follows two slashes, or is a run of a name's characters. Each character is read once: no run begins within
 * another.
 */
const NAMES = /\/\/([^\s/?#]+)|[a-z0-9.-]+/gi;
/** A file's name ("report.html") has dots too: without a scheme, only a name with a common site ending is a host. */
const SITE = /^www\.|\.(?:com|org|net|info|biz|gov|edu|app|dev|cloud|bank)(?![a-z0-9-])/i;

/** Return the first host that a text names, as written; null when it names none. */
function firstHost(text: string): string | null {
  for (const [run, host] of text.matchAll(NAMES))
    if (host !== undefined || SITE.test(run)) return withoutWww(host ?? run);
  return null;
}

/** Return whether a text is only the address or name of a host. */
function isHostOnly(text: string, host: string): boolean {
  const shown = withoutWww(text.trim().replace(/^https?:\/\//i, ""));
  return shown.startsWith(withoutWww(host)) && /^(?:[/?#]\S*)?$/.test(shown.slice(withoutWww(host).length));
}

function withoutWww(host: string): string {
  return host.toLowerCase().replace(/^www\./, "");
}

function sameStyle(one: Style | undefined, other: Style | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return one.fg === other.fg && one.bg === other.bg && one.flags === other.flags && one.inverse === other.inverse;
}

/** Return the text that `render` shows, for search, copies and exports. */
export function plain(line: string): string {
  if (line.includes("\n")) return line.split("\n").map(plain).join("\n");
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (!SPECIAL.test(text)) return text;
  if (!MOVES.test(text)) return text.replace(TOKEN, (token) => replacementFor(token));
  return render(text)
    .spans.map((part) => part.text)
    .join("");
}

interface Screen {
  put(text: string, style: Style, href: string | undefined): void;
  control(code: string, count: number): void;
  spans(): StyledText[];
}

/** The usual line: text without cursor moves. */
class Runs implements Screen {
  private readonly parts: StyledText[] = [];

  put(text: string, style: Style, href: string | undefined): void {
    this.parts.push(span(text, style, href));
  }

  control(): void {
    // Cursor moves never reach this class.
  }

  spans(): StyledText[] {
    return this.parts;
  }
}

/** The content of an erased cell. */
const ERASED = "";

/** A line with cursor moves: one cell per character. */
class Cells implements Screen {
  private characters: string[] = [];
  private styles: Style[] = [];
  private links: (string | undefined)[] = [];
  private column = 0;
  private work = 0;

  put(text: string, style: Style, href: string | undefined): void {
    for (const character of text) {
      if (character === "\t") {
        // Move to the next tab stop, every eight columns; existing cells stay.
        this.go((this.column | 7) + 1);
        continue;
      }
      this.characters[this.column] = character;
      this.styles[this.column] = style;
      this.links[this.column] = href;
      this.column++;
    }
  }

  control(code: string, count: number): void {
    const many = Number.isNaN(count) || count < 1 ? 1 : Math.min(count, MAX_COLUMN);
    if (code >= "@" && "KPX@".includes(code)) {
      this.work += this.characters.length + many;
      if (this.work > MAX_WORK) return;
    }
    switch (code) {
      case "\r":
        this.column = 0;
        break;
      case "\b":
      case "D":
        this.column = Math.max(0, this.column - many);
        break;
      case "C":
      case "a":
        this.go(this.column + many);
        break;
      case "G":
      case "`":
        this.go(many - 1);
        break;
      case "K":
        // The cursor may be far behind the last cell: there is nothing to erase.
        if (count === 1 || count === 2)
          for (let at = 0; at <= this.column && at < this.characters.length; at++) this.blank(at);
        if (count !== 1) this.cut(this.column);
        break;
      case "P":
        for (const cells of [this.characters, this.styles, this.links]) cells.splice(this.column, many);
        break;
      case "X":
        for (let at = this.column; at < this.column + many && at < this.characters.length; at++) this.blank(at);
        break;
      case "@": {
        if (this.column >= this.characters.length) break;
        this.characters.splice(this.column, 0, ...Array<string>(many).fill(" "));
        this.styles.splice(this.column, 0, ...Array<Style>(many).fill(PLAIN));
        this.links.splice(this.column, 0, ...Array<undefined>(many).fill(undefined));
        break;
      }
    }
  }

  spans(): StyledText[] {
    const found: StyledText[] = [];
    let from = 0;
    // Erased cells at the end are no text; before it they are spaces, as are cells that the cursor skipped.
    while (this.characters.length > 0 && !this.characters.at(-1)) this.characters.length--;
    for (let at = 0; at < this.characters.length; at++) {
      if (this.characters[at]) continue;
      this.blank(at);
      this.characters[at] = " ";
    }
    for (let at = 1; at <= this.characters.length; at++) {
      if (at < this.characters.length && this.styles[at] === this.styles[from] && this.links[at] === this.links[from])
        continue;
      found.push(span(this.characters.slice(from, at).join(""), this.styles[from] ?? PLAIN, this.links[from]));
      from = at;
    }
    return found;
  }

  private go(column: number): void {
    this.column = Math.min(column, Math.max(this.characters.length, MAX_COLUMN));
  }

  private blank(at: number): void {
    if (at >= this.characters.length) return;
    this.characters[at] = ERASED;
    this.styles[at] = PLAIN;
    this.links[at] = undefined;
  }

  private cut(column: number): void {
    for (const cells of [this.characters, this.styles, this.links]) if (cells.length > column) cells.length = column;
  }
}

function span(text: string, style: Style, href: string | undefined): StyledText {
  const styled = style === PLAIN || (style.fg === null && style.bg === null && style.flags === 0 && !style.inverse);
  if (styled && href === undefined) return { text };
  return { text, ...(styled ? {} : { style }), ...(href === undefined ? {} : { href }) };
}

function sgr(parameters: string, style: Style): Style {
  let { fg, bg, flags, inverse } = style;
  const groups = parameters.split(";");
  for (let at = 0; at < groups.length; at++) {
    const group = groups[at] ?? "";
    const [code = 0, ...sub] = group.split(":").map((part) => (part === "" ? 0 : Number.parseInt(part, 10)));
    if (code === 0) [fg, bg, flags, inverse] = [null, null, 0, false];
    else if (code === 1) flags |= BOLD;
    else if (code === 2) flags |= DIM;
    else if (code === 3) flags |= ITALIC;
    else if (code === 4) flags = sub[0] === 0 ? flags & ~UNDERLINE : flags | UNDERLINE;
    else if (code === 7) inverse = true;
    else if (code === 9) flags |= STRIKE;
    else if (code === 21) flags |= UNDERLINE;
    else if (code === 22) flags &= ~(BOLD | DIM);
    else if (code === 23) flags &= ~ITALIC;
    else if (code === 24) flags &= ~UNDERLINE;
    else if (code === 27) inverse = false;
    else if (code === 29) flags &= ~STRIKE;
    else if (code >= 30 && code <= 37) fg = code - 30;
    else if (code === 39) fg = null;
    else if (code >= 40 && code <= 47) bg = code - 40;
    else if (code === 49) bg = null;
    else if (code >= 90 && code <= 97) fg = code - 82;
    else if (code >= 100 && code <= 107) bg = code - 92;
    else if (code === 38 || code === 48) {
      let colour: Colour | null;
      if (sub.length > 0)
        colour = extendedColour(sub[0] ?? 0, sub[0] === 2 && sub.length > 4 ? sub.slice(2) : sub.slice(1));
      else {
        const kind = Number.parseInt(groups[at + 1] ?? "", 10);
        const length = kind === 5 ? 1 : kind === 2 ? 3 : 0;
        colour = extendedColour(
          kind,
          groups.slice(at + 2, at + 2 + length).map((part) => Number.parseInt(part || "0", 10)),
        );
        at += 1 + length;
      }
      if (code === 38) fg = colour ?? fg;
      else bg = colour ?? bg;
    }
  }
  // The same colour as its background would hide the text.
  if (fg !== null && fg === bg) bg = null;
  return { fg, bg, flags, inverse };
}

function extendedColour(kind: number, values: readonly number[]): Colour | null {
  const byte = (at: number): number => Math.max(0, Math.min(255, values[at] ?? 0)) || 0;
  if (kind === 5 && values.length > 0) return byte(0);
  if (kind === 2 && values.length > 2) return RGB | (byte(0) << 16) | (byte(1) << 8) | byte(2);
  return null;
}
