/**
 * `window.logferry`: a read-only view of what was received, for tests and support. Only visible rows are in the page,
 * so counting elements does not tell what was received. Stable: tests/e2e relies on it.
 *
 *    logferry.jobs()                      ids of the open jobs
 *    logferry.lines(job)                  {received, first, last, tip, holes, repeats, subscribed, caughtUp, problem, …} or null
 *    await logferry.entries(job, a, b)    entries a..b as stored: [{sequence, time, stream, text}]
 *    logferry.connection()                state of the WebSocket, and how often one was opened
 *    logferry.cut(), logferry.replace()   break the WebSocket; open its successor first (as it happens after 110 minutes)
 */
import type { Engine } from "./engine/client";
import type { Entry, JobFacts } from "./engine/messages";
import type { ConnectionState } from "./live/connection";
import { connection, facts } from "./state";

export interface Diagnostics {
  jobs(): string[];
  lines(job: string): JobFacts | null;
  entries(job: string, first: number, last: number): Promise<Entry[]>;
  connection(): ConnectionState & { opened: number };
  whole(job: string): Promise<null>;
  cut(): Promise<null>;
  replace(): Promise<null>;
}

export function exposeDiagnostics(engine: Engine): void {
  let opened = 0;
  engine.listen((tell) => {
    if (tell.tell === "connection") opened = tell.opened;
  });
  const diagnostics: Diagnostics = {
    jobs: () => [...facts.value.keys()],
    lines: (job) => facts.value.get(job) ?? null,
    entries: (job, first, last) => engine.ask({ do: "entries", job, first, last }),
    connection: () => ({ ...connection.value, opened }),
    whole: (job) => engine.ask({ do: "loadAll", job }),
    cut: () => engine.ask({ do: "cut" }),
    replace: () => engine.ask({ do: "replace" }),
  };
  Object.defineProperty(window, "logferry", { value: Object.freeze(diagnostics), enumerable: true });
}
