/** Shared state of the page, as signals. The worker's messages set it (see `attach`), components read it. */
import { batch, signal } from "@preact/signals";
import type { Engine } from "./engine/client";
import type { JobFacts, Problem } from "./engine/messages";
import type { ConnectionState } from "./live/connection";
import type { JobRecord, Me } from "./wire/messages";

/** Every known job that this viewer may read, by id. A new map after each change (at most ten times a second). */
export const records = signal<ReadonlyMap<string, JobRecord>>(new Map());
/** The first complete list has arrived. */
export const jobsLoaded = signal(false);
export const jobsProblem = signal<Problem | null>(null);
export const connection = signal<ConnectionState>({ kind: "idle" });
/** Facts of the open jobs. */
export const facts = signal<ReadonlyMap<string, JobFacts>>(new Map());
export const me = signal<Me | null>(null);
/** Milliseconds since 1970, updated once a second while the page is visible, for "3 s ago". */
export const now = signal(Date.now());

/** Connect the signals to a worker. */
export function connectState(engine: Engine): void {
  engine.listen((tell) => {
    if (tell.tell === "connection") connection.value = tell.state;
    else if (tell.tell === "jobs") {
      batch(() => {
        if (tell.changed.length > 0 || tell.removed.length > 0) {
          const next = new Map(records.value);
          for (const record of tell.changed) next.set(record.job, record);
          for (const job of tell.removed) next.delete(job);
          records.value = next;
        }
        jobsLoaded.value = tell.loaded;
        jobsProblem.value = tell.problem;
      });
    } else if (tell.tell === "job") {
      const next = new Map(facts.value);
      next.set(tell.facts.job, tell.facts);
      facts.value = next;
    }
  });
  setInterval(() => {
    if (document.visibilityState === "visible") now.value = Date.now();
  }, 1_000);
}
