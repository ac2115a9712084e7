/** Rows of a job in the order of its sequences: place = sequence - 1. */
import type { Spans } from "../live/spans";
import { describeEvent } from "../text/events";
import { looksJson } from "../text/json";
import { levelOf } from "../text/lateLevels";
import { plain, render, type Style } from "../text/terminal";
import { MOST_LINES, type TraceRole, traceRoleAfter } from "../text/trace";
import { AHEAD, type LineRow, type Row, textOf, type Window } from "./row";
import { safely } from "./safely";
import type { Store } from "./store";

/** Sequences that one "loading" row may stand for: small, so that the scroll bar stays true. */
const LOADING_CHUNK = 1;

export function rowsOf(store: Store, gone: Spans, tip: number, from: number, count: number): Window {
  const rows: Row[] = [];
  const end = Math.min(from + count, tip);
  let index = Math.max(0, from);
  const begin = index;
  // A pane asks for parts: where one begins, what stands before it counts.
  const before = { stdout: roleBefore(store, begin + 1, "o"), stderr: roleBefore(store, begin + 1, "e") };
  while (index < end) {
    const sequence = index + 1;
    const row = rowAt(store, gone, sequence, end);
    if (row?.kind === "line") {
      const trace = safely(() => traceRoleAfter(textOf(row), before[row.stream]), null);
      before[row.stream] = trace;
      rows.push({ ...row, trace });
    } else if (row !== null) rows.push(row);
    index += row !== null && "count" in row ? row.count : 1;
  }
  return { from: begin, to: Math.max(begin, index), total: tip, rows };
}

/** How far back a line is looked for by which the one after it is told: further than traces have source lines in a row. */
const REACH = 64;

/** The role of a stream's last line before a sequence. */
function roleBefore(store: Store, sequence: number, stream: "o" | "e"): TraceRole | null {
  for (let at = sequence - 1; at > 0 && at > sequence - REACH; at--) {
    const here = store.at(at);
    if (here === null || here.broken !== null) break;
    const offset = at - here.batch.first;
    if (here.columns.streams[offset] !== stream) continue;
    const text = here.columns.texts[offset] as string;
    const role = roleOf(text, null);
    // A line that is a frame only after another says nothing by itself: the one before it decides for both.
    if (role !== null || roleOf(text, "frame") === null) return role;
  }
  return null;
}

function roleOf(text: string, before: TraceRole | null): TraceRole | null {
  return safely(() => traceRoleAfter(plain(text), before), null);
}

/** How a line is shown. */
type Shown = Pick<LineRow, "spans" | "level" | "json" | "trace">;

function shownOf(text: string, style: Style): Shown {
  const { spans } = render(text, style);
  const shown = spans.length === 1 ? (spans[0]?.text ?? "") : spans.map((span) => span.text).join("");
  return { spans, level: levelOf(shown), json: looksJson(shown), trace: traceRoleAfter(shown, null) };
}

/** Of a line that nothing is known of. No character of it may act. */
function bare(text: string): Shown {
  return { spans: [{ text: text.replace(/[^\t -~\u00a0-\u2027\u2030-\u2065\u2070-\uffff]/g, "\ufffd") }], level: 0, json: false, trace: null };
}

/** The row of one sequence; null when it belongs to a row before. */
export function rowAt(store: Store, gone: Spans, sequence: number, end = sequence): Row | null {
  const index = sequence - 1;
  const here = store.at(sequence);
  if (here === null) {
    if (!gone.has(sequence)) return { kind: "loading", index, sequence, count: LOADING_CHUNK };
    const last = gone.list.find((span) => span.first <= sequence && span.last >= sequence)?.last ?? sequence;
    const first = gone.list.find((span) => span.first <= sequence && span.last >= sequence)?.first ?? sequence;
    // One row says it for the whole span, at its end, where reading begins.
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
  if (goesOn && store.joins(sequence, stream)) return null;
  const line = store.line(sequence);
  const shown = safely(() => shownOf(line.text, store.styleAt(here, offset)), null) ?? bare(line.text);
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
  };
}

/** How many frames of the same stream follow a trace's head, as far as they are here. */
function framesAfter(store: Store, head: number, stream: string): number {
  let frames = 0;
  for (let sequence = head + 1; frames < MOST_LINES && sequence < head + AHEAD; sequence++) {
    const here = store.at(sequence);
    if (here === null || here.broken !== null) break;
    const offset = sequence - here.batch.first;
    if (here.columns.streams[offset] !== stream) continue;
    if (roleOf(here.columns.texts[offset] as string, "frame") !== "frame") break;
    frames++;
  }
  return frames;
}
