/**
 * The level that a line claims for itself. Tiers, the first that speaks decides:
 *
 *  1. a JSON or logfmt field called level, lvl, severity, levelname or log.level (pino's and bunyan's numbers too);
 *  2. klog and glog: a letter, a date;
 *  3. a level word in capitals near the start, set apart;
 *  4. a level word of any case before a colon, near the start;
 *  5. what only fails: tracebacks, panics, npm ERR!.
 *
 * The stream is no level: many programs write all they say to stderr.
 */

export const LEVELS = ["", "trace", "debug", "info", "warn", "error", "fatal"] as const;
export type Level = 0 | 1 | 2 | 3 | 4 | 5 | 6;
export const ERROR: Level = 5;

/** Level words come early; a long line is not read to its end. */
const REACH = 160;
const FIELD_REACH = 2_000;

const WORDS: { readonly [word: string]: Level } = {
  trace: 1,
  trc: 1,
  finest: 1,
  finer: 1,
  verbose: 2,
  debug: 2,
  dbg: 2,
  fine: 2,
  info: 3,
  inf: 3,
  information: 3,
  notice: 3,
  log: 3,
  warn: 4,
  wrn: 4,
  warning: 4,
  error: 5,
  err: 5,
  severe: 5,
  crit: 6,
  critical: 6,
  fatal: 6,
  ftl: 6,
  panic: 6,
  alert: 6,
  emerg: 6,
  emergency: 6,
};

const FIELD = /(?:"(?:level|lvl|severity|levelname|log\.level|log_level)"\s*:\s*|\b(?:level|lvl|severity)=)"?([A-Za-z]+|\d{1,2})\b/i;
const KLOG = /^([IWEF])\d{4} \d\d:\d\d:\d\d/;
const CAPITALS =
  /(?:^|[\s[(|<"'-])(TRACE|TRC|DEBUG|DBG|INFO|INF|NOTICE|WARN|WRN|WARNING|ERROR|ERR|SEVERE|CRIT|CRITICAL|FATAL|FTL|PANIC|ALERT|EMERG)(?=[\s\])|>:,!"'-]|$)/;
const BEFORE_COLON = /(?:^|[\s[(])(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\]?:(?=\s|$)/i;
const BRACKETED = /\[(trace|debug|info|notice|warn|warning|error|crit|critical|fatal|alert|emerg)\]/i;
const FAILURE = /^(?:Traceback \(most recent call last\)|(?:[\w$]+\.)*\w*(?:Exception|Error)(?:$|:\s)|Caused by: |thread '.*' panicked|goroutine \d+ \[running\]|Unhandled )/;
const NUMBERS: readonly (readonly [least: number, level: Level])[] = [
  [60, 6],
  [50, 5],
  [40, 4],
  [30, 3],
  [20, 2],
  [10, 1],
];

/** Of plain text, without escape sequences. */
export function levelOf(line: string): Level {
  const field = line.length > 8 ? FIELD.exec(line.length > FIELD_REACH ? line.slice(0, FIELD_REACH) : line)?.[1] : undefined;
  if (field !== undefined) {
    const named = WORDS[field.toLowerCase()];
    if (named !== undefined) return named;
    const number = Number(field);
    for (const [least, level] of NUMBERS) if (number >= least) return level;
  }
  const start = line.length > REACH ? line.slice(0, REACH) : line;
  const klog = KLOG.exec(start)?.[1];
  if (klog !== undefined) return klog === "I" ? 3 : klog === "W" ? 4 : klog === "E" ? 5 : 6;
  const word = (CAPITALS.exec(start) ?? BRACKETED.exec(start) ?? BEFORE_COLON.exec(start))?.[1];
  if (word !== undefined) return WORDS[word.toLowerCase()] ?? 0;
  return FAILURE.test(start) ? ERROR : 0;
}
