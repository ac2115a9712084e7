/**
 * A query as the service's RE2 understands it, with the meaning that it has in the tab. Pure.
 *
 * A query without a counterpart in RE2 (lookaround, backreferences, classes that only one of the two knows) is not
 * sent: the job is loaded and searched in the tab. The sent expression may find a little more than the tab would; every
 * match is checked here before it counts. tests/contract/search.json holds both sides to one meaning.
 */
import type { Query } from "../index/query";

export interface ServerQuery {
  readonly q: string;
  readonly ignoreCase: boolean;
}

/** The API's limit. */
const MAX_CHARS = 512;
/** What ends a word, as in `expressionOf`. */
const OUTSIDE = "[^\\pL\\pN_]";
/** JavaScript's white space; RE2's own \s is ASCII only, without the vertical tab. */
const SPACE = "\\t-\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}";

/** Return a query for the service; null when the service cannot run it. `expressionOf` must accept the query. */
export function serverQuery({ text, regex, matchCase, word, level }: Query): ServerQuery | null {
  if (text === "") return level >= 4 ? { q: levelExpression(level), ignoreCase: true } : null;
  let source = regex ? toRe2(text) : text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
  if (source === null) return null;
  if (word) source = `(?:^|${OUTSIDE})(?:${source})(?:$|${OUTSIDE})`;
  return [...source].length > MAX_CHARS ? null : { q: source, ignoreCase: !matchCase };
}

/** Return why the service cannot run a query, for a person. */
export function unsupportedReason({ text, regex }: Query): string {
  if (text === "") return "these filters need every line loaded";
  return regex && toRe2(text) === null
    ? "only the tab can search for this expression"
    : "the service cannot search for a text this long";
}

/** Every line that `levelOf` rates as a warning or above contains one of these. Most others do not. */
function levelExpression(level: number): string {
  const words =
    "err|eror|sever|crit|fatal|fata\\b|ftl|fail|pani|pnc|alert|emerg|exception|traceback|caused by: |goroutine|unhandled ";
  // Letters of glog, Ruby, MongoDB and etcd; numbers of pino, and GELF's, which are syslog's.
  const [letters, numbers] = level === 4 ? ["wefc", "[4-9]\\d|[0-4]\\b"] : ["efc", "[5-9]\\d|[0-3]\\b"];
  const fields = `(?:level|lvl|severity)[a-z_]*"?\\s*[:=]\\s*"?(?:${numbers}|\\d{3})|severity_?number"\\s*:|priority"\\s*:|"s"\\s*:\\s*"[${letters}]`;
  return `${words}${level === 4 ? "|warn|wrn| # " : ""}|^\\s*(?:[${letters}](?:\\d{4}|, \\[)|<\\d)|[\\d:z] *[${letters}] |${fields}`;
}

function toRe2(text: string): string | null {
  let made = "";
  let inClass = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    const rest = text.slice(at);
    if (character === "\\") {
      const sequence = escapeSequence(rest, inClass);
      if (sequence === null) return null;
      made += sequence.made;
      at += sequence.length - 1;
    } else if (inClass) {
      // "[" in a class may begin a POSIX class in RE2, and is only itself here.
      made += character === "[" ? "\\[" : character;
      if (character === "]") inClass = false;
    } else if (character === "[") {
      // A class that begins with "]" is empty here, and contains it in RE2.
      if (/^\[\^?\]/.test(rest)) return null;
      inClass = true;
      made += rest.startsWith("[^") ? "[^" : "[";
      if (rest.startsWith("[^")) at++;
    } else if (character === "(" && text[at + 1] === "?") {
      const group = /^\(\?(?::|[ims]*(?:-[ims]+)?:|<([A-Za-z_]\w*)>)/.exec(rest);
      if (group === null) return null;
      made += group[1] === undefined ? group[0] : `(?P<${group[1]}>`;
      at += group[0].length - 1;
    } else if (character === "{" && !/^\{\d+(?:,\d*)?\}/.test(rest)) made += "\\{";
    else made += character;
  }
  return inClass ? null : made;
}

/** Return the escape sequence at the beginning of `rest`. */
function escapeSequence(rest: string, inClass: boolean): { made: string; length: number } | null {
  const code = /^\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))/.exec(rest);
  if (code !== null) return { made: `\\x{${(code[1] ?? code[2] ?? "").toLowerCase()}}`, length: code[0].length };
  const next = rest[1];
  if (next === undefined) return null;
  if (next === "s") return { made: inClass ? SPACE : `[${SPACE}]`, length: 2 };
  if (next === "S") return inClass ? null : { made: `[^${SPACE}]`, length: 2 };
  if ("dDwWtnrfv".includes(next) || (!inClass && "bB".includes(next))) return { made: `\\${next}`, length: 2 };
  return /[!-/:-@[-`{-~ ]/.test(next) ? { made: /[\s_]/.test(next) ? next : `\\${next}`, length: 2 } : null;
}
