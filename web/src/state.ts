/** What the whole page shares, as signals. Fed by the worker's messages (see `attach`), read by the views. */
import { batch, signal } from "@preact/signals";
import type { Engine } from "./engine/client";
import type { JobFacts, Problem } from "./engine/messages";
import type { ConnectionState } from "./live/connection";
import type { JobRecord, Me } from "./wire/messages";

/** Every job that this viewer may see and was told of, by id. A new map whenever anything changed (at most ten times a second). */
export const records = signal<ReadonlyMap<string, JobRecord>>(new Map());
/** The first whole listing has come. */
export const jobsLoaded = signal(false);
export const jobsProblem = signal<Problem | null>(null);
export const connection = signal<ConnectionState>({ kind: "idle" });
/** Facts of the open jobs. */
export const facts = signal<ReadonlyMap<string, JobFacts>>(new Map());
export const me = signal<Me | null>(null);
/** Milliseconds since 1970, once a second while the page is seen: for "3 s ago". */
export const now = signal(Date.now());

/** Connects the signals to a worker. */
export function attach(engine: Engine): void {
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
