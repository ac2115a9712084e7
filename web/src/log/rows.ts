/** Rows of a job in the order of its sequences: place = sequence - 1. */
import type { Spans } from "../live/spans";
import { describeEvent } from "../text/events";
import { looksJson } from "../text/json";
import { levelOf } from "../text/lateLevels";
import { plain, render } from "../text/terminal";
import { MOST_LINES, type TraceRole, traceRoleAfter } from "../text/trace";
import { AHEAD, type Row, textOf, type Window } from "./row";
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
      const trace = traceRoleAfter(textOf(row), before[row.stream]);
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
    const text = plain(here.columns.texts[offset] as string);
    const role = traceRoleAfter(text, null);
    // A line that is a frame only after another says nothing by itself: the one before it decides for both.
    if (role !== null || traceRoleAfter(text, "frame") === null) return role;
  }
  return null;
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
  const { spans } = render(line.text, store.styleAt(here, offset));
  const shown = spans.length === 1 ? (spans[0]?.text ?? "") : spans.map((span) => span.text).join("");
  const trace = traceRoleAfter(shown, null);
  return {
    kind: "line",
    index,
    sequence,
    last: line.last,
    stream: stream === "e" || stream === "E" ? "stderr" : "stdout",
    time,
    spans,
    level: levelOf(shown),
    json: looksJson(shown),
    headless: goesOn,
    trace,
    frames: trace === "head" ? framesAfter(store, sequence, stream) : 0,
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
    if (traceRoleAfter(plain(here.columns.texts[offset] as string), "frame") !== "frame") break;
    frames++;
  }
  return frames;
}
