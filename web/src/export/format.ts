/** Format lines for a file or the clipboard, and select those that a filter keeps. Pure. */
import type { SaveFormat } from "../engine/messages";
import { expressionOf, type Query } from "../index/query";
import type { Trial } from "../search/trial";
import { describeEvent } from "../text/events";
import { levelOf } from "../text/levels";
import { plain } from "../text/terminal";
import { stampText, type TimeMode } from "../text/time";
import { type TraceRole, traceRoleAfter } from "../text/trace";
import type { Line } from "./lineJoiner";

export interface LineFormat {
  readonly format: SaveFormat;
  readonly time: TimeMode;
  /** Origin of relative times, µs. */
  readonly base: number;
  /** The job's name, where several jobs become one file. */
  readonly name?: string;
}

/** Return a line as the pane shows it: without escape sequences, and a system entry as a sentence. */
export function visibleText(line: Line): string {
  const text =
    line.entries.length === 1 ? (line.entries[0]?.text ?? "") : line.entries.map((entry) => entry.text).join("");
  return line.stream === "system" ? describeEvent(text).sentence : plain(text);
}

/**
 * Return a line in the chosen format. Text has one line per line, with times as chosen. JSON lines have one object per
 * entry, as `logferry export` writes them, always in UTC.
 */
export function formatLine(job: string, line: Line, { format, time, base, name }: LineFormat): string {
  if (format === "jsonl")
    return line.entries
      .map((entry) => jsonOf({ jobId: job, ...(name !== undefined && { name }) }, line.stream, entry))
      .join("");
  const stamp = stampText(line.entries[0]?.time ?? 0, time, base);
  const shown = visibleText(line);
  return `${stamp === "" ? "" : `${stamp} `}${name === undefined ? "" : `${name} | `}${line.stream === "system" ? `-- ${shown} --` : shown}\n`;
}

function jsonOf(
  of: { readonly jobId: string; readonly name?: string },
  stream: Line["stream"],
  { sequence, time, text }: Line["entries"][number],
): string {
  return `${JSON.stringify({ ...of, timestamp: stampText(time, "utc", 0), stream, line: text, sequence })}\n`;
}

/**
 * Return a test for a query's streams, levels and traces, and for its text unless that is an expression. It must see
 * all lines in order.
 */
export function lineFilter(query: Query): (line: Line) => boolean {
  // `ExpressionFilter` tests a person's expression, in a worker that can be ended.
  const expression = query.regex ? null : expressionOf(query);
  const before: { [stream in Line["stream"]]: TraceRole | null } = { stdout: null, stderr: null, system: null };
  return (line) => {
    const shown = visibleText(line);
    const role = line.stream === "system" ? null : traceRoleAfter(shown, before[line.stream]);
    if (line.stream !== "system") before[line.stream] = role;
    if (query.hide.includes(line.stream) || (query.hide.includes("frames") && role === "frame")) return false;
    if (query.level > 0) {
      const level =
        line.stream === "system" ? (describeEvent(line.entries[0]?.text ?? "").bad ? 5 : 0) : levelOf(shown);
      if (level < query.level) return false;
    }
    if (expression === null) return true;
    expression.lastIndex = 0;
    return expression.test(shown);
  };
}

/** Selects the lines that a query's expression matches. The expression runs in a worker of its own. */
export class ExpressionFilter {
  private trial: Trial | null = null;

  constructor(private readonly query: Query | null) {}

  /** Rejects when the expression takes too long. */
  async matching<L extends Line>(lines: readonly L[]): Promise<readonly L[]> {
    const { query } = this;
    if (query === null || !query.regex || query.text === "" || lines.length === 0) return lines;
    this.trial ??= new (await import("../search/trial")).Trial();
    const matches = await this.trial.test(query, lines.map(visibleText));
    return lines.filter((_, at) => matches[at] === true);
  }

  destroy(): void {
    this.trial?.destroy();
  }
}
