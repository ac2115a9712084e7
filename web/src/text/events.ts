/** Describes system entries, which are small JSON documents by the agent, in sentences. */
import { MAX_MESSAGE_CHARS } from "../limits";
import { asObject } from "../wire/shape";
import {
  type EventKind,
  FIELD_TYPES,
  GAP_AT,
  GAP_BETWEEN,
  GAP_REASONS,
  type Part,
  SENTENCES,
  UNKNOWN_REASON,
} from "./eventSentences";

export type { EventKind };

export interface SystemEvent {
  readonly kind: EventKind;
  readonly sentence: string;
  /** Whether it deserves a reader's attention: a gap, a crash. */
  readonly bad: boolean;
}

/** Describes the event that an entry's text holds. A text that holds none is shown as it is, as a notice. */
export function describeEvent(text: string): SystemEvent {
  let event: Record<string, unknown> = {};
  try {
    event = asObject(JSON.parse(text));
  } catch {
    // The text is no event.
  }
  const kind = event["event"] as EventKind;
  if (!Object.hasOwn(SENTENCES, kind))
    return { kind: "notice", sentence: text.slice(0, MAX_MESSAGE_CHARS), bad: false };
  const value = (name: string): unknown => (typeof event[name] === FIELD_TYPES[name] ? event[name] : undefined);
  let template = (SENTENCES[kind] as readonly Part[]).map((part) => (isShown(part, value) ? part[0] : "")).join("");
  if (kind === "gap" && value("start") !== undefined && value("end") !== undefined) {
    template += fieldText("start", value("start")) === fieldText("end", value("end")) ? GAP_AT : GAP_BETWEEN;
  }
  const sentence = template.replace(/\{(\w+)\}/g, (_, name: string) => fieldText(name, value(name)));
  return {
    kind,
    // Here a sentence stands alone. A notice's words are the agent's own.
    sentence: kind === "notice" ? sentence : sentence.charAt(0).toUpperCase() + sentence.slice(1),
    bad: kind === "gap" || (kind === "exited" && !!(value("oom") || value("exit_code"))),
  };
}

function isShown([, when, field = ""]: Part, value: (name: string) => unknown): boolean {
  const given = value(field);
  if (when === "present") return given !== undefined;
  if (when === "absent") return given === undefined;
  if (when === "true") return !!given;
  if (when === "false") return !given;
  if (when === "one") return given === 1;
  return when === undefined || (given !== undefined && given !== 1);
}

function fieldText(name: string, value: unknown): string {
  if (typeof value === "number")
    return name === "count" ? value.toLocaleString("en") : isTime(name) ? clock(value) : `${value}`;
  const text = String(value ?? "").slice(0, MAX_MESSAGE_CHARS);
  if (name === "reason") return GAP_REASONS[text] || text.replaceAll("_", " ") || UNKNOWN_REASON;
  return name === "code" ? text.replaceAll("_", " ") : text;
}

function isTime(name: string): boolean {
  return name === "start" || name === "end";
}

function clock(us: number): string {
  const date = new Date(us / 1000);
  return Number.isNaN(date.getTime()) ? "?" : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
