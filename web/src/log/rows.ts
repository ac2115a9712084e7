/** Rows of a job in the order of its sequences: place = sequence - 1. */
import type { Spans } from "../live/spans";
import { describeEvent } from "../text/events";
import { looksJson } from "../text/json";
import { levelOf } from "../text/levels";
import type { Row, Window } from "./row";
import type { Store } from "./store";
import { render } from "../text/terminal";

/** Sequences that one "loading" row may stand for: small, so that the scroll bar stays true. */
const LOADING_CHUNK = 1;

export function rowsOf(store: Store, gone: Spans, tip: number, from: number, count: number): Window {
  const rows: Row[] = [];
  const end = Math.min(from + count, tip);
  let index = Math.max(0, from);
  const begin = index;
  while (index < end) {
    const sequence = index + 1;
    const row = rowAt(store, gone, sequence, end);
    if (row !== null) rows.push(row);
    index += row !== null && "count" in row ? row.count : 1;
  }
  return { from: begin, to: Math.max(begin, index), total: tip, rows };
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
  };
}
