/**
 * Detect the level that a line claims for itself. It can be in three places, and the first one that has it decides:
 *
 *  1. the outermost fields of a JSON object: `level`, `severity`, `@level`, Serilog's `@l`, MongoDB's `s`;
 *  2. what programs write before the text: a word in capitals, in brackets, before a colon or between tabs, a logfmt
 *     field, or a letter or sign of glog, Redis, MongoDB, etcd and Ruby. Words of the text itself, of quoted strings and
 *     of inner objects are no levels, so the search ends where sentences begin;
 *  3. what only failures begin with: tracebacks, panics, the names of exceptions.
 *
 * The stream says nothing about the level: many programs write everything to stderr. An entry of several lines has the
 * level of its first one.
 *
 * Every line of a job comes through here, a million in a row. Each character is read once, forwards, and no pattern
 * backtracks.
 */

import { ERROR, type Level } from "./levelNames";

export { ERROR, LEVELS, type Level } from "./levelNames";

/** Most characters before the text. */
const REACH = 160;
/** A logfmt line's field may follow a long message. */
const FIELD_REACH = 4_096;
/** A JSON line's field may follow a stack trace. */
const OBJECT_REACH = 65_536;
/** How far an entry of several lines is searched for an exception's name. */
const FAILURE_REACH = 2_000;
/** After this many plain words in a row, the rest is text. */
const MAX_PLAIN_WORDS = 4;

interface Word {
  readonly text: string;
  readonly level: Level;
  /**
   * Where it counts: `any` position of the header, or only some, because it is an everyday word or an abbreviation of
   * one program.
   */
  readonly kind: "any" | "colon" | "bracket" | "capitals" | "stamped";
}

const SPELLINGS: readonly (readonly [level: Level, kind: Word["kind"], words: string])[] = [
  [1, "any", "trace trc"],
  [1, "colon", "trce"],
  [1, "capitals", "vrb finest finer"],
  [1, "stamped", "trac"],
  [2, "any", "debug dbg verbose"],
  [2, "colon", "dbug"],
  [2, "capitals", "fine config"],
  [2, "stamped", "debu"],
  [3, "any", "info inf information notice"],
  [3, "colon", "log"],
  [3, "bracket", "note system success"],
  [4, "any", "warn wrn warning"],
  [5, "any", "error err severe"],
  [5, "colon", "fail"],
  [5, "stamped", "erro eror"],
  [6, "any", "crit critical fatal ftl panic pnc alert emerg emergency"],
  [6, "stamped", "fata pani"],
];

/** Keeps sums small integers. */
const SUM = 0x3fffffff;

/** Words by a sum of their letters, so that a word is only cut out of its line when it is likely to be a level. */
const WORDS = /*#__PURE__*/ wordsOf();

/** Values of fields that hold only a level. */
const VALUES = /*#__PURE__*/ valuesOf();

type Field = "plain" | "serilog" | "mongo" | "otel" | "syslog";

const FIELDS = /*#__PURE__*/ fieldsOf();

/** pino's and bunyan's numbers. */
const NUMBERS: readonly (readonly [least: number, level: Level])[] = [
  [60, 6],
  [50, 5],
  [40, 4],
  [30, 3],
  [20, 2],
  [10, 1],
];
const SYSLOG: readonly Level[] = [6, 6, 6, 5, 4, 3, 3, 2];
const LETTERS: { readonly [letter: string]: Level } = { T: 1, V: 2, D: 2, I: 3, N: 3, W: 4, E: 5, C: 6, F: 6 };
const REDIS_SIGNS: { readonly [sign: string]: Level } = { ".": 2, "-": 2, "*": 3, "#": 4 };
const NPM_WORDS: { readonly [word: string]: Level } = {
  "ERR!": 5,
  error: 5,
  WARN: 4,
  warn: 4,
  notice: 3,
  http: 3,
  info: 3,
  timing: 2,
  verb: 2,
  verbose: 2,
  sill: 1,
  silly: 1,
};

const GLOG = /^[DIWEFC]\d{4,8} \d\d:\d\d:\d\d/;
const SYSLOG_PREFIX = /^<(\d{1,3})>/;
const NPM = /^npm ([A-Za-z]+!?)(?: |$)/;
const RUBY = /^[DIWEF], \[\d/;
const REDIS = /^(?:\d{1,8}:[A-Z]|\[\d{1,8}\]) \d\d [A-Z][a-z][a-z] (?:\d{4} )?\d\d:\d\d:\d\d\.\d{3} ([.*#-]) /;
const FAILURES = ["Traceback (most recent call last)", "Caused by: ", "Unhandled ", "Exception in thread "];
/** A fast path for most of logfmt. */
const LOGFMT = /^(?:time|ts|t)=(?:"[^"]*"|[^\s"]*) (?:level|lvl)=([A-Za-z]+)/;
/**
 * Words between a time and the level that are not text: parts of dates, and of containers' logs as the kubelet keeps
 * them.
 */
const OF_HEADERS = /*#__PURE__*/ new Set([
  "Jan",
  "Feb",
  "Mar",
  "Apr",
  "May",
  "Jun",
  "Jul",
  "Aug",
  "Sep",
  "Oct",
  "Nov",
  "Dec",
  "Mon",
  "Tue",
  "Wed",
  "Thu",
  "Fri",
  "Sat",
  "Sun",
  "AM",
  "PM",
  "UTC",
  "GMT",
  "CET",
  "CEST",
  "EST",
  "PST",
  "stdout",
  "stderr",
  "F",
  "P",
  "Z",
]);

const [
  TAB,
  LINE_FEED,
  SPACE,
  QUOTE,
  OPEN,
  COMMA,
  DASH,
  DOT,
  SLASH,
  COLON,
  LESS,
  EQUALS,
  OPEN_SQUARE,
  BACKSLASH,
  CLOSE_SQUARE,
  OPEN_BRACE,
  BAR,
  CLOSE_BRACE,
] = [9, 10, 32, 34, 40, 44, 45, 46, 47, 58, 60, 61, 91, 92, 93, 123, 124, 125];

/** Return the level of a plain text without escape sequences. */
export function levelOf(line: string): Level {
  let start = 0;
  while (start < line.length && isBlank(codeAt(line, start))) start++;
  const first = codeAt(line, start);
  if (first === OPEN_BRACE) {
    const level = levelOfObject(line, start);
    if (level !== null) return level;
  } else {
    const level = levelOfForm(start === 0 ? line : line.slice(start, start + REACH), first);
    if (level !== 0) return level;
  }
  const level = levelOfHeader(line, start);
  return level === 0 && fails(line, start) ? ERROR : level;
}

/** Return the level of forms that the beginning of a line identifies. */
function levelOfForm(line: string, first: number): Level {
  if (isDigit(first)) {
    // Most lines begin with a date, not with Redis' "1:M ".
    let at = 1;
    while (isDigit(codeAt(line, at))) at++;
    return codeAt(line, at) === COLON && codeAt(line, at + 2) === SPACE ? redis(line) : 0;
  }
  const second = codeAt(line, 1);
  switch (first) {
    case LESS: {
      const priority = SYSLOG_PREFIX.exec(line)?.[1];
      return priority === undefined || Number(priority) > 191 ? 0 : (SYSLOG[Number(priority) & 7] ?? 0);
    }
    case OPEN_SQUARE:
      return isDigit(second) ? redis(line) : 0;
    case 110: // n
      return line.startsWith("npm ") ? (NPM_WORDS[NPM.exec(line)?.[1] ?? ""] ?? 0) : 0;
    case 67: // C D E F I W
    case 68:
    case 69:
    case 70:
    case 73:
    case 87:
      return (isDigit(second) && GLOG.test(line)) || (second === COMMA && RUBY.test(line))
        ? (LETTERS[line[0] as string] ?? 0)
        : 0;
    case 116: // t
      return second === EQUALS || line.startsWith("time=") || line.startsWith("ts=")
        ? valueAt(LOGFMT.exec(line)?.[1] ?? "", 0)
        : 0;
    default:
      return 0;
  }
}

function redis(line: string): Level {
  return REDIS_SIGNS[REDIS.exec(line)?.[1] ?? ""] ?? 0;
}

// --- before the text ---------------------------------------------------------------------------------------------

function levelOfHeader(line: string, start: number): Level {
  const end = Math.min(line.length, start + REACH);
  /** Counts text words in a row and "key=value" pairs; the open bracket and its position. */
  let plain = 0;
  let pairs = 0;
  let bracket = 0;
  let opened = 0;
  /** The token outside of brackets: where it began, and whether it has only letters. */
  let token = start;
  let pure = true;
  /** The last character that is not a space. */
  let before = 0;
  let at = start;
  while (at < end) {
    const code = codeAt(line, at);
    if (isLetter(code)) {
      const from = at;
      let sum = 0;
      let letter = code;
      do {
        sum = (sum * 31 + (letter | 32)) & SUM;
        letter = codeAt(line, ++at);
      } while (isLetter(letter));
      const next = letter;
      const length = at - from;
      if (next === EQUALS && bracket === 0) pairs++;
      if (length === 1) {
        if (plain === 0 && bracket === 0 && token === from && isLetterField(line, from, before))
          return LETTERS[line[from] as string] as Level;
      } else if (next === EQUALS) {
        // The pair's own "=" has been counted.
        if (
          (plain === 0 || pairs > 1 || (plain === 1 && line.indexOf("=", at + 1) > 0)) &&
          isFieldName(line, from, at)
        ) {
          const level = valueAt(line, at + 1);
          if (level !== 0) return level;
        }
      } else if (length <= 11) {
        const word = WORDS.get(sum);
        if (word !== undefined && length === word.text.length && isText(line, from, word.text)) {
          const previous = from > start ? codeAt(line, from - 1) : LINE_FEED;
          if (counts(line, word, from, at, previous, next, plain, bracket, opened, before)) return word.level;
        }
      }
      before = codeAt(line, at - 1);
      continue;
    }
    if (code === LINE_FEED) break;
    if (code === SPACE || code === TAB) {
      if (bracket === 0) {
        if (pure && at > token && !isOfHeader(line, token, at) && ++plain > MAX_PLAIN_WORDS) return 0;
        token = at + 1;
        pure = true;
      }
      at++;
      continue;
    }
    if (code === QUOTE && (at === token || before === EQUALS || bracket !== 0)) {
      const close = closing(line, at, FIELD_REACH);
      if (close > 0) {
        // A quoted word counts only if it is all of its field: a column of a table.
        if (plain < 2 && pairs === 0 && close - at <= 12 && close - at > 3 && isCapitals(line, at + 1, close)) {
          const level = valueAt(line, at);
          if (level !== 0) return level;
        }
        // A quoted string that is neither a value nor a column is what the line is about: the request of an access log.
        if (bracket === 0 && pairs === 0 && before !== COMMA && codeAt(line, close + 1) !== COMMA && close - at > 2)
          return 0;
        pure = false;
        before = QUOTE;
        at = close + 1;
        continue;
      }
    }
    if (bracket === 0 && (code === OPEN_SQUARE || code === LESS || code === OPEN)) [bracket, opened] = [code, at];
    else if (bracket !== 0 && code === (bracket === OPEN ? 41 : bracket + 2)) bracket = 0;
    else if (code === OPEN_BRACE && at === token && plain === 0) {
      const level = levelOfObject(line, at);
      if (level !== null) return level;
    }
    // Commas, full stops and the like end words of a text as spaces do.
    if (!(code === COMMA || code === DOT || code === 59 || code === 33 || code === 63 || code === 39) || at === token)
      pure = false;
    before = code;
    at++;
  }
  return pairs > 1 && line.length > end ? levelOfPairs(line, start) : 0;
}

/** Return whether a level's word counts at its position. */
function counts(
  line: string,
  word: Word,
  from: number,
  to: number,
  previous: number,
  next: number,
  plain: number,
  bracket: number,
  opened: number,
  before: number,
): boolean {
  const { kind } = word;
  const capitals = isCapitals(line, from, to);
  if (bracket !== 0) {
    if (plain > 1 || kind === "colon" || kind === "stamped") return false;
    // "[error]", "[core:error]", "[ info ]", "<Error>": the last word of its bracket.
    if (
      bracket !== OPEN &&
      (previous === bracket || previous === COLON || previous === SPACE || previous === SLASH) &&
      (capitals || blankFrom(line, opened + 1, from) || previous === COLON)
    ) {
      let end = to;
      while (codeAt(line, end) === SPACE) end++;
      if (codeAt(line, end) === bracket + 2) return true;
    }
    // "[10:00:00 ERR]", "[: ERROR/MainProcess]", "[2026-11-30T10:00:00Z ERROR app]".
    if (!capitals || kind === "bracket") return false;
    const apart =
      previous === bracket || previous === SPACE || previous === COLON || previous === SLASH || previous === BAR;
    return (
      apart &&
      (isBlank(next) ||
        next === CLOSE_SQUARE ||
        next === 41 ||
        next === 62 ||
        next === COLON ||
        next === SLASH ||
        next === BAR ||
        next === COMMA)
    );
  }
  if (next === OPEN_SQUARE) {
    // "ERRO[0003] …" and "ERROR[11-30|10:00:00.000] …": at the line's beginning, before a number.
    return (
      capitals && previous === LINE_FEED && kind !== "bracket" && kind !== "colon" && isDigit(codeAt(line, to + 1))
    );
  }
  if (kind === "stamped" || kind === "bracket") return false;
  // "DEBUG1: …", PostgreSQL's.
  const numbered = word.text === "debug" && capitals && isDigit(next) && codeAt(line, to + 1) === COLON;
  if (next === COLON || numbered) {
    const after = codeAt(line, to + (numbered ? 2 : 1));
    const field =
      isBlank(previous) || previous === OPEN || previous === BAR || previous === DASH || (previous === DOT && capitals);
    if (field && isBlank(after) && plain <= (kind === "any" ? 2 : 0))
      return kind !== "colon" || word.text !== "log" || capitals;
    // "ERROR:root:failed".
    return capitals && kind !== "colon" && (previous === LINE_FEED || previous === COLON) && plain === 0;
  }
  if (previous === TAB && (next === TAB || (capitals && isBlank(next)))) return kind === "any" || capitals;
  if (!capitals) return false;
  // A column of a table.
  if (previous === COMMA && next === COMMA && kind === "any") return true;
  const apart = isBlank(previous) || previous === BAR || previous === DASH || previous === QUOTE || previous === 39;
  if (!apart || !(isBlank(next) || next === BAR || next === DASH || next === COMMA || next === 33 || next === 39))
    return false;
  if (kind === "colon") {
    // NestJS: "LOG [InstanceLoader] …".
    return (
      word.text === "log" &&
      plain === 0 &&
      before !== 0 &&
      codeAt(line, to) === SPACE &&
      codeAt(line, to + 1) === OPEN_SQUARE
    );
  }
  if (plain <= (kind === "any" ? 1 : 0)) return true;
  // As a column, any number of words may precede it: " - ERROR - ", "| ERROR |".
  let end = to;
  while (codeAt(line, end) === SPACE) end++;
  const column = codeAt(line, end);
  return (before === DASH || before === BAR) && (column === DASH || column === BAR);
}

/**
 * Return whether a letter is a level: etcd's "E | ", MongoDB's "E NETWORK [", TensorFlow's ": E tensorflow/"; after a
 * time.
 */
function isLetterField(line: string, at: number, before: number): boolean {
  if (
    LETTERS[line[at] as string] === undefined ||
    !(isDigit(before) || before === COLON || before === 90) ||
    codeAt(line, at + 1) !== SPACE
  )
    return false;
  let next = at + 1;
  while (codeAt(line, next) === SPACE) next++;
  if (codeAt(line, next) === BAR) return true;
  let end = next;
  for (; end < next + 20; end++) {
    const code = codeAt(line, end);
    if (code === SPACE) break;
    if (code === SLASH) return before === COLON;
    if (before !== COLON && !(code >= 65 && code <= 90) && code !== DASH) return false;
  }
  while (codeAt(line, end) === SPACE) end++;
  return end > next + 2 && codeAt(line, end) === OPEN_SQUARE;
}

/**
 * Return whether line[from..to] names a level's field: "level", "lvl", "severity", "loglevel"; also "log.level", not
 * "log-to.level" or "/?level".
 */
function isFieldName(line: string, from: number, to: number): boolean {
  const length = to - from;
  if (length !== 5 && length !== 3 && length !== 8) return false;
  if (
    !isText(
      line,
      from,
      length === 5 ? "level" : length === 3 ? "lvl" : (codeAt(line, from) | 32) === 115 ? "severity" : "loglevel",
    )
  )
    return false;
  const previous = from > 0 ? codeAt(line, from - 1) : SPACE;
  if (previous === DOT || previous === 95)
    return line.slice(from - 4, from - 1).toLowerCase() === "log" && (from < 5 || !isWordly(codeAt(line, from - 5)));
  return !isWordly(previous) && previous !== DASH && previous !== SLASH && previous !== 63 && previous !== 38;
}

/**
 * Return the level that a field's value names: a word, quoted or not, or one followed by a number, as slog writes
 * "ERROR+2".
 */
function valueAt(line: string, at: number): Level {
  const from = codeAt(line, at) === QUOTE ? at + 1 : at;
  let to = from;
  let sum = 0;
  for (let code = codeAt(line, to); to < from + 16 && isLetter(code); code = codeAt(line, ++to))
    sum = (sum * 31 + (code | 32)) & SUM;
  if (to > from) {
    const value = VALUES.get(sum);
    return value !== undefined && value.text.length === to - from && isText(line, from, value.text) ? value.level : 0;
  }
  while (to < from + 3 && isDigit(codeAt(line, to))) to++;
  return to > from && !isWordly(codeAt(line, to)) ? numbered(Number(line.slice(from, to))) : 0;
}

function numbered(value: number): Level {
  for (const [least, level] of NUMBERS) if (value >= least) return level;
  return 0;
}

/** Return the level of a logfmt line's field, however late: after quoted strings, but not within them. */
function levelOfPairs(line: string, start: number): Level {
  const end = Math.min(line.length, start + FIELD_REACH);
  let equals = line.indexOf("=", start);
  for (let at = start; at < end; ) {
    const quote = line.indexOf('"', at);
    const stop = quote < 0 || quote > end ? end : quote;
    if (equals < at) equals = line.indexOf("=", at);
    for (; equals >= 0 && equals < stop; equals = line.indexOf("=", equals + 1)) {
      const code = codeAt(line, equals - 1) | 32;
      if (code !== 108 && code !== 121) continue; // level, lvl, loglevel; severity
      for (const length of [5, 3, 8]) {
        if (equals - length < start || !isFieldName(line, equals - length, equals)) continue;
        const level = valueAt(line, equals + 1);
        if (level !== 0) return level;
      }
    }
    if (equals < 0 || stop === end) return 0;
    const close = closing(line, stop, FIELD_REACH);
    if (close < 0) return 0;
    at = close + 1;
  }
  return 0;
}

// --- objects ---------------------------------------------------------------------------------------------------------

/**
 * Return the level of the JSON object that begins at `start`, by its outermost fields; null when this is not an object.
 */
function levelOfObject(line: string, start: number): Level | null {
  let at = start + 1;
  while (at < line.length && isBlank(codeAt(line, at))) at++;
  if (codeAt(line, at) !== QUOTE) return null;
  const common = line.indexOf('"level":', at);
  // Within a string, a backslash would precede the second quote.
  if (common > 0 && isOutermost(line, at, common)) {
    const level = valueAt(line, codeAt(line, common + 8) === SPACE ? common + 9 : common + 8);
    if (level !== 0) return level;
  }
  const end = Math.min(line.length, start + OBJECT_REACH);
  let depth = 1;
  /** The next string is a field's name. */
  let key = true;
  /** The level when no field names one. */
  let otherwise: Level = 0;
  /** A number with syslog's meaning, if the object is GELF's. */
  let gelf = -1;
  let isGelf = false;
  /** MongoDB's lines begin with their time, an object. */
  let ordinal = 0;
  let stamped = false;
  /** In an object called "log", as ECS has it, the level counts. */
  let inLog = false;
  while (at < end && depth > 0) {
    const code = codeAt(line, at);
    if (code === QUOTE) {
      const close = closing(line, at, OBJECT_REACH);
      if (close < 0) return otherwise;
      if (!key || depth > 2 || (depth === 2 && !inLog)) {
        at = close + 1;
        continue;
      }
      let value = close + 1;
      while (value < end && isBlank(codeAt(line, value))) value++;
      if (codeAt(line, value) !== COLON) return depth === 1 && ordinal === 0 ? null : otherwise;
      do value++;
      while (value < end && isBlank(codeAt(line, value)));
      key = false;
      if (depth === 2) {
        if (close - at === 6 && line.startsWith("level", at + 1) && otherwise === 0) otherwise = valueAt(line, value);
        at = value;
        continue;
      }
      ordinal++;
      const length = close - at - 1;
      // Fields that matter begin with @, l, p, s or t, and are short.
      const initial = codeAt(line, at + 1) | 32;
      if (length === 1 && initial === 116) stamped = ordinal === 1 && codeAt(line, value) === OPEN_BRACE;
      else if (length <= 15 && (initial === 108 || initial === 115 || initial === 96 || initial === 112)) {
        if (length === 5 && line.startsWith("level", at + 1)) {
          const level = valueAt(line, value);
          if (level !== 0) return level;
          if (isDigit(codeAt(line, value))) gelf = Number.parseInt(line.slice(value, value + 3), 10);
          at = value;
          continue;
        }
        const name = line.slice(at + 1, close);
        const field = FIELDS.get(name) ?? FIELDS.get(name.toLowerCase());
        let level: Level = 0;
        if (field !== undefined) {
          level = levelOfField(line, field, name, value, stamped);
        } else if (name === "log") inLog = codeAt(line, value) === OPEN_BRACE;
        else if (name === "short_message") isGelf = true;
        else if (name === "@t" && otherwise === 0) otherwise = 3;
        if (level !== 0) return level;
      }
      at = value;
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_SQUARE) {
      depth++;
      key = code === OPEN_BRACE;
    } else if (code === CLOSE_BRACE || code === CLOSE_SQUARE) {
      if (--depth === 1) inLog = false;
      key = false;
    } else if (code === COMMA) key = depth === 1 || (depth === 2 && inLog);
    at++;
  }
  if (isGelf && gelf >= 0 && gelf < 8) return SYSLOG[gelf] ?? 0;
  return otherwise;
}

/**
 * Return whether a field of the object that begins before `from` is clearly an outermost one: no other object before
 * it, or none after it.
 */
function isOutermost(line: string, from: number, field: number): boolean {
  const nested = line.indexOf("{", from);
  if (nested < 0 || nested > field) {
    const list = line.indexOf("[", from);
    if (list < 0 || list > field) return true;
  }
  return line.indexOf("}", field) === line.length - 1;
}

function levelOfField(line: string, field: Field, name: string, value: number, stamped: boolean): Level {
  const quoted = codeAt(line, value) === QUOTE;
  switch (field) {
    case "serilog":
      return line.startsWith("Verbose", value + 1) ? 1 : valueAt(line, value);
    case "mongo": {
      const next = codeAt(line, value + 2);
      return stamped && quoted && (next === QUOTE || isDigit(next)) ? (LETTERS[line[value + 1] as string] ?? 0) : 0;
    }
    case "otel": {
      const number = quoted ? 0 : Number.parseInt(line.slice(value, value + 3), 10);
      return number >= 1 && number <= 24 ? ((Math.ceil(number / 4) as Level) ?? 0) : 0;
    }
    case "syslog": {
      // journald's is one digit; other programs have priorities of their own.
      const digit = codeAt(line, value + 1) - 48;
      if (quoted && digit >= 0 && digit < 8 && codeAt(line, value + 2) === QUOTE)
        return name === "PRIORITY" ? (SYSLOG[digit] ?? 0) : 0;
      return quoted ? valueAt(line, value) : 0;
    }
    default:
      // Serilog's lowest; others use it as a kind of "debug".
      return name === "Level" && line.startsWith("Verbose", value + 1) ? 1 : valueAt(line, value);
  }
}

/** Return where the string that opens at `open` ends; -1 when it does not end within `reach`. */
function closing(line: string, open: number, reach: number): number {
  for (let at = line.indexOf('"', open + 1); at >= 0 && at - open <= reach; at = line.indexOf('"', at + 1)) {
    let escapes = 0;
    while (codeAt(line, at - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return -1;
}

// --- failures --------------------------------------------------------------------------------------------------------

/** Return whether a line, or a later one of the same entry, begins as only failures do. */
function fails(line: string, start: number): boolean {
  for (let from = start; from < FAILURE_REACH; ) {
    const code = codeAt(line, from);
    if (isLetter(code) && (isFailure(line, from, code) || isException(line, from))) return true;
    const feed = line.indexOf("\n", from);
    if (feed < 0) return false;
    from = feed + 1;
  }
  return false;
}

function isFailure(line: string, from: number, code: number): boolean {
  if (code === 116) return line.startsWith("thread '", from) && line.slice(from, from + REACH).includes(" panicked");
  if (code === 103) return line.startsWith("goroutine ", from) && line.slice(from, from + REACH).includes(" [running]");
  return (
    (code === 84 || code === 67 || code === 85 || code === 69) && FAILURES.some((text) => line.startsWith(text, from))
  ); // T C U E
}

/** "java.lang.IllegalStateException: …", "ValueError". */
function isException(line: string, from: number): boolean {
  let end = from;
  while (end < from + REACH && (isWordly(codeAt(line, end)) || codeAt(line, end) === DOT || codeAt(line, end) === 36))
    end++;
  const last = codeAt(line, end - 1);
  if (
    end - from < 5 ||
    !((last === 114 && line.startsWith("Error", end - 5)) || (last === 110 && line.startsWith("Exception", end - 9)))
  )
    return false;
  const next = codeAt(line, end);
  return next === LINE_FEED || (next === COLON && isBlank(codeAt(line, end + 1)));
}

// --- tables: built by functions, so that a page that only imports types has none ---------------------------------

function wordsOf(): ReadonlyMap<number, Word> {
  return new Map(
    SPELLINGS.flatMap(([level, kind, words]) =>
      words.split(" ").map((text): [number, Word] => [sumOf(text), { text, level, kind }]),
    ),
  );
}

function valuesOf(): ReadonlyMap<number, Pick<Word, "text" | "level">> {
  const values = new Map<number, Pick<Word, "text" | "level">>([...WORDS].filter(([, { kind }]) => kind !== "bracket"));
  for (const [text, level] of [
    ["silly", 1],
    ["http", 3],
    ["informational", 3],
    ["default", 3],
  ] as const)
    values.set(sumOf(text), { text, level });
  return values;
}

function fieldsOf(): ReadonlyMap<string, Field> {
  const names =
    "level lvl severity levelname level_name log.level log_level loglevel @level severitytext severity_text".split(" ");
  return new Map<string, Field>([
    ...names.map((name): [string, Field] => [name, "plain"]),
    ["@l", "serilog"],
    ["s", "mongo"],
    ["severitynumber", "otel"],
    ["severity_number", "otel"],
    ["priority", "syslog"],
  ]);
}

// --- characters ------------------------------------------------------------------------------------------------------

/**
 * Past the end of a line, return a line feed. Reading past the end would make the engine leave its fast path for
 * strings.
 */
function codeAt(line: string, at: number): number {
  return at < line.length ? line.charCodeAt(at) : LINE_FEED;
}

function sumOf(word: string): number {
  let sum = 0;
  for (let at = 0; at < word.length; at++) sum = (sum * 31 + (word.charCodeAt(at) | 32)) & SUM;
  return sum;
}

function isOfHeader(line: string, from: number, to: number): boolean {
  const end = codeAt(line, to - 1) === COMMA ? to - 1 : to;
  const length = end - from;
  // All begin with a capital, except for two.
  return (
    (length <= 4 && codeAt(line, from) <= 90 && OF_HEADERS.has(line.slice(from, end))) ||
    (length === 6 && line.startsWith("std", from) && OF_HEADERS.has(line.slice(from, end)))
  );
}

/** Return whether `text` (lower case) begins here, in either case. */
function isText(line: string, from: number, text: string): boolean {
  for (let at = 0; at < text.length; at++) if ((codeAt(line, from + at) | 32) !== text.charCodeAt(at)) return false;
  return true;
}

function isCapitals(line: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (codeAt(line, at) > 90) return false;
  return true;
}

function blankFrom(line: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (codeAt(line, at) !== SPACE) return false;
  return true;
}

/** Letters of other scripts are part of words too. */
function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code > 191;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isWordly(code: number): boolean {
  return isLetter(code) || isDigit(code) || code === 95;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB || code === LINE_FEED || code === 13;
}
