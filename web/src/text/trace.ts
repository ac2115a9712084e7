/**
 * Stack traces, so that one row can stand for forty: a line is the head of a trace, a frame, or neither. Python, Java
 * and related languages, JavaScript, Go, Rust, Ruby, .NET and PHP. A line has its role by itself, so a pane may begin
 * anywhere.
 */

export type TraceRole = "head" | "frame";

/** Most lines of one fold; a longer trace continues as a second one. */
export const MAX_TRACE_LINES = 200;
/** Heads are identified within this many characters. */
const MARK_REACH = 160;
/** The beginning and end of a line decide its role; the middle of a long one does not matter. */
const REACH = 600;

// Every pattern is anchored and takes time linear in the text, whatever the text is (`make check` proves it).
const HEADS: readonly RegExp[] = [
  /^(?:[+|\s]*)(?:Exception Group )?Traceback \(most recent call last\):$/,
  /^(?:panic: |fatal error: |goroutine \d+ \[)/,
  /^thread '[^']*'(?: \(\d+\))? panicked at |^stack backtrace:$/,
  /^(?:Exception in thread "[^"]*" |Unhandled [Ee]xception|Uncaught |PHP Fatal error: )/,
  /^(?:[A-Za-z_$][\w$]*[.:\\]+)*[A-Za-z_$][\w$]*(?:Error|Exception|Throwable|Warning|Interrupt|Exit)(?:$|: | \[|\()/,
];
const FRAMES: readonly RegExp[] = [
  /^\s+at \S/,
  /^\s*(?:Caused by: |Suppressed: |--- End of |---> )/,
  /^\s+\.\.\. \d+ (?:more|common frames omitted)$/,
  /^\s+File "[^"]*", line \d+/,
  /^\s+[\^~][\s^~]*$/,
  /^\s+\[Previous line repeated \d+ more times?\]$/,
  /^\s+from \S+:\d+:in /,
  /^\S+\.rb:\d+:in /,
  /^#\d+ (?:\S.*\(\d+\): |\{main\}|0x)/,
  /^\t\S+\.go:\d+/,
  /^created by \S/,
  /^[\w./*()-]+\.[\w*()]+\([\w, .{}]*\)$/,
  /^\s+\d+: +\S/,
];
/** A line of source below its frame, as Python prints it; by itself it is only indented. */
const SOURCE = /^\s{4,}\S/;

/** Return a plain line's role. Frames count only after a head or another frame: `groupTraces` groups them. */
export function traceRole(line: string): TraceRole | null {
  // An entry of several lines has the role of its first one.
  const feed = line.indexOf("\n");
  if (feed >= 0) return traceRole(line.slice(0, feed));
  if (line.length < 4) return null;
  const first = line.charCodeAt(0);
  // Nearly all lines begin with a date, a bracket or a plain word: one character decides.
  if ((first >= 48 && first <= 57) || first === 123 || first === 91 || first === 34 || first === 60) return null;
  if (first !== 32 && first !== 9 && !MARKS.test(line.length > MARK_REACH ? line.slice(0, MARK_REACH) : line))
    return null;
  const text = line.length > REACH ? line.slice(0, REACH) : line;
  if (HEADS.some((head) => head.test(text))) return "head";
  return isFrame(text) || SOURCE.test(text) ? "frame" : null;
}

/**
 * Return the role of a line that follows one of its stream with the role `before`. A line that is only indented counts
 * only after a head or a frame.
 */
export function traceRoleAfter(line: string, before: TraceRole | null): TraceRole | null {
  const role = traceRole(line);
  return role === "frame" && before === null && !isFrame(line.slice(0, REACH)) ? null : role;
}

function isFrame(text: string): boolean {
  return FRAMES.some((frame) => frame.test(text));
}

const MARKS =
  /Error|Exception|Throwable|Warning|Interrupt|Exit|Traceback|panic|goroutine|fatal error|backtrace|Unhandled|Uncaught|Caused by|Suppressed|--- |\(|\.rb:|^#|::|created by/;

export interface Trace {
  /** Indexes of the head and of the last line, both inclusive. */
  readonly first: number;
  readonly last: number;
}

/**
 * Return the traces among consecutive lines of one stream: a head with its frames, or frames after any line that serves
 * as their head.
 */
export function groupTraces(roles: readonly (TraceRole | null)[], least = 3): Trace[] {
  const found: Trace[] = [];
  for (let at = 0; at < roles.length; at++) {
    if (roles[at] === "frame") continue;
    let last = at;
    while (roles[last + 1] === "frame" && last - at + 1 < MAX_TRACE_LINES) last++;
    // Without a known head, more than accidental indentation is required.
    if (last - at + 1 >= (roles[at] === "head" ? least : least + 1)) found.push({ first: at, last });
    at = last;
  }
  return found;
}
