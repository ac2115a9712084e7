/** Rows of a job in the order of its sequences: index = sequence - 1. */
import type { SequenceRanges } from "../live/sequenceRanges";
import { describeEvent } from "../text/events";
import { looksJson } from "../text/json";
import { lineLevel } from "../text/loadLevels";
import { plain, render, type Style, type StyledText } from "../text/terminal";
import { MAX_TRACE_LINES, type TraceRole, traceRoleAfter } from "../text/trace";
import { type Cut, type LineRow, ROW_LOOKAHEAD, type Row, type RowWindow, textOf } from "./row";
import type { Store } from "./store";
import { tryOr } from "./tryOr";

/** Most lines of one entry that are drawn: as many as an agent merges. */
const MAX_ENTRY_LINES = 500;

/** A line with more pieces is shown from here on without its beginning: 64 MiB. */
const MAX_PIECES_BACK = 4_096;

/** Sequences that one "loading" row may stand for: few, so that the scroll bar stays accurate. */
const LOADING_CHUNK = 1;

export function rowsOf(store: Store, gone: SequenceRanges, tip: number, from: number, count: number): RowWindow {
  const rows: Row[] = [];
  const end = Math.min(from + count, tip);
  const begin = windowStart(store, Math.max(0, from), end);
  let index = begin;
  // A pane asks for windows: the lines before a window affect its first rows.
  const before = { stdout: roleBefore(store, begin + 1, "o"), stderr: roleBefore(store, begin + 1, "e") };
  while (index < end) {
    const sequence = index + 1;
    const row = rowAt(store, gone, sequence, end);
    if (row?.kind === "line") {
      const trace = tryOr(() => traceRoleAfter(textOf(row), before[row.stream]), null);
      before[row.stream] = trace;
      rows.push({ ...row, trace });
    } else if (row !== null) rows.push(row);
    index += row !== null && "count" in row ? row.count : 1;
  }
  return { from: begin, to: Math.max(begin, index), total: tip, rows };
}

/**
 * Return where a window begins. A line that continues into the window needs its row, wherever that begins, so that a
 * reader at the line's end sees it.
 */
function windowStart(store: Store, from: number, end: number): number {
  let begin = from;
  const seen = { o: false, e: false };
  for (let index = from; index < end && !(seen.o && seen.e); index++) {
    const here = store.at(index + 1);
    const stream =
      here === null || here.broken !== null ? "s" : (here.columns.streams[index + 1 - here.batch.first] as string);
    const own = stream.toLowerCase() as "o" | "e" | "s";
    if (own === "s" || seen[own]) continue;
    seen[own] = true;
    if (stream !== own) begin = Math.min(begin, store.beginning(index + 1, MAX_PIECES_BACK) - 1);
  }
  return begin;
}

/**
 * How many lines back to look for a line that decides the next one's role: more than traces have source lines in a row.
 */
const REACH = 64;

/** Return the role of a stream's last line before a sequence. */
function roleBefore(store: Store, sequence: number, stream: "o" | "e"): TraceRole | null {
  for (let at = sequence - 1; at > 0 && at > sequence - REACH; at--) {
    const here = store.at(at);
    if (here === null || here.broken !== null) break;
    const offset = at - here.batch.first;
    if (here.columns.streams[offset] !== stream) continue;
    const text = here.columns.texts[offset] as string;
    const role = roleOf(text, null);
    // A line that is a frame only after another frame does not decide: the one before it decides for both.
    if (role !== null || roleOf(text, "frame") === null) return role;
  }
  return null;
}

function roleOf(text: string, before: TraceRole | null): TraceRole | null {
  return tryOr(() => traceRoleAfter(plain(text), before), null);
}

/** How a line is drawn. */
type DrawnLine = Pick<LineRow, "spans" | "level" | "json" | "trace" | "lines">;

function drawnLine(text: string, style: Style): DrawnLine {
  const { spans, lines } = firstLines(render(text, style).spans);
  const shown = spans.length === 1 ? (spans[0]?.text ?? "") : spans.map((span) => span.text).join("");
  return { spans, level: lineLevel(shown), json: looksJson(shown), trace: traceRoleAfter(shown, null), lines };
}

/** Return the first lines of a merged entry, and how many it has. */
function firstLines(spans: readonly StyledText[]): { spans: readonly StyledText[]; lines: number } {
  let lines = 1;
  let kept: readonly StyledText[] = spans;
  for (const [index, { text }] of spans.entries()) {
    for (let feed = text.indexOf("\n"); feed >= 0; feed = text.indexOf("\n", feed + 1)) {
      if (++lines === MAX_ENTRY_LINES + 1)
        kept = [...spans.slice(0, index), { ...spans[index], text: text.slice(0, feed) }];
    }
  }
  return { spans: kept, lines };
}

/** Return a line that could not be interpreted, with every control character replaced. */
function plainRow(text: string): DrawnLine {
  return {
    spans: [{ text: text.replace(/[^\t -~\u00a0-\u2027\u2030-\u2065\u2070-\uffff]/g, "\ufffd") }],
    level: 0,
    json: false,
    trace: null,
    lines: 1,
  };
}

/** Return the row of one sequence; null when it belongs to an earlier row. */
export function rowAt(store: Store, gone: SequenceRanges, sequence: number, end = sequence): Row | null {
  const index = sequence - 1;
  const here = store.at(sequence);
  if (here === null) {
    if (!gone.has(sequence)) return { kind: "loading", index, sequence, count: LOADING_CHUNK };
    const last = gone.all.find((span) => span.first <= sequence && span.last >= sequence)?.last ?? sequence;
    const first = gone.all.find((span) => span.first <= sequence && span.last >= sequence)?.first ?? sequence;
    // One row stands for the whole range, at its end, where reading begins.
    if (sequence === last) return { kind: "gone", index, sequence: first, count: 1 };
    return { kind: "gone", index, sequence, count: Math.max(1, Math.min(last - sequence, end - index)) };
  }
  if (here.broken !== null) {
    const rest = here.batch.first + here.batch.count - sequence;
    return { kind: "unreadable", index, sequence, count: Math.max(1, Math.min(rest, end - index)) };
  }
  const offset = sequence - here.batch.first;
  const stream = here.columns.streams[offset] as string;
  const time = here.columns.times[offset] as number;
  if (stream === "s") {
    const event = describeEvent(here.columns.texts[offset] as string);
    return { kind: "event", index, sequence, time, event: event.kind, sentence: event.sentence, bad: event.bad };
  }
  const goesOn = stream === "O" || stream === "E";
  if (goesOn && store.continuesKnownLine(sequence, stream)) return null;
  const line = store.line(sequence);
  const open = !line.whole;
  const shown = tryOr(() => drawnLine(line.text, store.styleAt(here, offset)), null) ?? plainRow(line.text);
  const cut: Cut | null =
    line.length > line.text.length
      ? { shown: line.text.length, of: line.length, unit: "characters", open }
      : shown.lines > MAX_ENTRY_LINES
        ? { shown: MAX_ENTRY_LINES, of: shown.lines, unit: "lines", open }
        : null;
  return {
    kind: "line",
    index,
    sequence,
    last: line.last,
    stream: stream === "e" || stream === "E" ? "stderr" : "stdout",
    time,
    ...shown,
    headless: goesOn,
    frames: shown.trace === "head" ? framesAfter(store, sequence, stream) : 0,
    ...(cut !== null && { cut }),
  };
}

/** Return how many frames of the same stream follow a trace's head, as far as they are loaded. */
function framesAfter(store: Store, head: number, stream: string): number {
  let frames = 0;
  for (let sequence = head + 1; frames < MAX_TRACE_LINES && sequence < head + ROW_LOOKAHEAD; sequence++) {
    const here = store.at(sequence);
    if (here === null || here.broken !== null) break;
    const offset = sequence - here.batch.first;
    if (here.columns.streams[offset] !== stream) continue;
    if (roleOf(here.columns.texts[offset] as string, "frame") !== "frame") break;
    frames++;
  }
  return frames;
}
