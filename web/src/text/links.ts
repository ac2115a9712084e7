/** Links in plain text: http and https only, and the shown text is the address. */

export interface Linked {
  readonly text: string;
  readonly href?: string;
  readonly leads?: string;
}

/** Longer addresses are not linked: no browser bar shows them. */
const MAX_ADDRESS_CHARS = 2_048;
/** More links than this in one line are decoration. */
const MAX_LINKS = 64;

// An address ends before white space, quotes, unmatched brackets and backslashes. Trailing punctuation belongs to the
// sentence.
const ADDRESS = /\bhttps?:\/\/[^\s"'<>`\\^{|}]+/gi;
const TRAILING = ".,;:!?*_~";

export function linkify(text: string): Linked[] {
  if (!text.includes("://")) return text === "" ? [] : [{ text }];
  const parts: Linked[] = [];
  let at = 0;
  let links = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const shown = withoutPunctuation(match[0]);
    const href = links < MAX_LINKS ? followable(shown) : undefined;
    if (href === undefined) continue;
    links++;
    if (match.index > at) parts.push({ text: text.slice(at, match.index) });
    parts.push({ text: shown, href });
    at = match.index + shown.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at) });
  return parts;
}

/** Link addresses in a row's spans, also where the colour changes within one; hyperlinks from the program stay. */
export function linkSpans<S extends Linked>(spans: readonly S[]): readonly S[] {
  if (!spans.some((part) => part.text.includes("/"))) return spans;
  const text = spans.map((part) => part.text).join("");
  if (!text.includes("://")) return spans;
  const parts = linkify(text);
  if (!parts.some((part) => part.href !== undefined)) return spans;
  const found: S[] = [];
  let [at, used] = [0, 0];
  for (const part of parts) {
    for (let left = part.text.length; left > 0; ) {
      const own = spans[at] as S;
      const piece = own.text.slice(used, used + left);
      left -= piece.length;
      used += piece.length;
      const { leads, ...rest } = own;
      const whole = used === own.text.length;
      found.push({
        ...(whole ? own : rest),
        text: piece,
        ...(own.href === undefined && part.href !== undefined ? { href: part.href } : {}),
      } as S);
      if (whole) [at, used] = [at + 1, 0];
    }
  }
  return found;
}

/**
 * Return the absolute http(s) address that `address` names, or undefined. Credentials are refused:
 * `https://bank.example@evil.example/` looks like another site.
 */
export function followable(address: string): string | undefined {
  if (address.length > MAX_ADDRESS_CHARS || !/^https?:\/\/[^/?#]/i.test(address)) return undefined;
  try {
    const url = new URL(address);
    const web = url.protocol === "http:" || url.protocol === "https:";
    return web && url.hostname !== "" && url.username === "" && url.password === "" ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** Return the address without the sentence's punctuation. Each character is read once, however long the address is. */
function withoutPunctuation(address: string): string {
  // How many more brackets of each kind close than open. A closing one belongs to the address only if it was opened in
  // it, as in "(see https://x.example/a_(b))".
  let [round, square] = [0, 0];
  for (let at = 0; at < address.length; at++) {
    const character = address[at];
    if (character === ")") round++;
    else if (character === "(") round--;
    else if (character === "]") square++;
    else if (character === "[") square--;
  }
  let end = address.length;
  for (; end > 0; end--) {
    const last = address[end - 1] as string;
    if (last === ")" && round > 0) round--;
    else if (last === "]" && square > 0) square--;
    else if (!TRAILING.includes(last)) break;
  }
  return address.slice(0, end);
}
