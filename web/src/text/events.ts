/** System entries: a small JSON document by the agent, said as a sentence for a person. */
import { fields } from "../wire/shape";

export type EventKind = "started" | "restarted" | "exited" | "gap" | "notice";

export interface SystemEvent {
  readonly kind: EventKind;
  readonly sentence: string;
  /** Worth a reader's worry: a gap, a crash. */
  readonly bad: boolean;
}

const REASONS: { readonly [reason: string]: string } = {
  rotated: "the engine rotated them away before they were read",
  removed: "the container was removed before they were read",
  truncated: "the log file was cut",
  corrupt: "the log could not be understood",
  engine: "the engine skipped them",
  spool_full: "the agent's spool was full",
  spool_lost: "the agent's disk lost them",
  rejected: "the cloud refused them",
  quota: "the quota was used up",
  rate_limit: "the container wrote more than it may",
  conflict: "another writer had stored something else",
};

export function describeEvent(text: string): SystemEvent {
  let event: Record<string, unknown>;
  try {
    event = fields(JSON.parse(text));
  } catch {
    return { kind: "notice", sentence: text.slice(0, 512), bad: false };
  }
  const number = (name: string): number | null => (typeof event[name] === "number" ? event[name] : null);
  const words = (name: string): string => (typeof event[name] === "string" ? event[name].slice(0, 512) : "");
  switch (event["event"]) {
    case "started":
      return { kind: "started", sentence: "Container started", bad: false };
    case "restarted": {
      const restarts = number("restarts");
      return {
        kind: "restarted",
        sentence: restarts ? `Container restarted (restart ${restarts})` : "Container restarted",
        bad: false,
      };
    }
    case "exited": {
      const code = number("exit_code");
      const oom = event["oom"] === true;
      const parts = [code === null ? "Container exited" : `Container exited with code ${code}`];
      if (oom) parts.push("out of memory");
      if (event["removed"] === true) parts.push("removed");
      return { kind: "exited", sentence: parts.join(", "), bad: oom || (code !== null && code !== 0) };
    }
    case "gap": {
      const count = number("count");
      const lost = count === null ? "Lines" : count === 1 ? "1 line" : `${count.toLocaleString("en")} lines`;
      const reason = REASONS[words("reason")] ?? (words("reason").replaceAll("_", " ") || "for an unknown reason");
      const [start, end] = [number("start"), number("end")];
      const when = start !== null && end !== null ? between(clock(start), clock(end)) : "";
      const detail = words("detail");
      return { kind: "gap", sentence: `${lost} missing: ${reason}.${when}${detail ? ` ${detail}` : ""}`, bad: true };
    }
    case "notice":
      return { kind: "notice", sentence: words("detail") || words("code").replaceAll("_", " "), bad: false };
    default:
      return { kind: "notice", sentence: text.slice(0, 512), bad: false };
  }
}

function between(start: string, end: string): string {
  return start === end ? ` At ${start}.` : ` Between ${start} and ${end}.`;
}

function clock(us: number): string {
  const date = new Date(us / 1000);
  return Number.isNaN(date.getTime()) ? "?" : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
