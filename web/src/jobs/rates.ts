/** Lines per second, from a job's growth between two of its records. */

import type { JobRecord } from "../wire/messages";
import { countText } from "./count";

interface Sample {
  readonly tip: number;
  readonly seen: number;
  readonly rate: number | null;
}

/** A rate measured over a shorter time says nothing. */
const MIN_SPAN_MS = 1_000;

export class Rates {
  private readonly samples = new Map<string, Sample>();

  /** Note all records; forget jobs that are gone. */
  note(records: ReadonlyMap<string, JobRecord>): void {
    for (const job of this.samples.keys()) if (!records.has(job)) this.samples.delete(job);
    for (const { job, tip, seen } of records.values()) {
      const before = this.samples.get(job);
      if (before === undefined || tip < before.tip) this.samples.set(job, { tip, seen, rate: null });
      else if (seen - before.seen >= MIN_SPAN_MS) {
        this.samples.set(job, { tip, seen, rate: ((tip - before.tip) * 1000) / (seen - before.seen) });
      }
    }
  }

  /**
   * Return a running job's rate: since the previous record if two are known, otherwise over its life. Null when it is
   * not known.
   */
  of({ job, tip, life, last }: JobRecord): number | null {
    if (life.state !== "running") return null;
    const measured = this.samples.get(job)?.rate;
    if (measured !== null && measured !== undefined) return measured;
    const age = life.started === null || last === null ? 0 : last - life.started;
    return age >= MIN_SPAN_MS && tip > 0 ? (tip * 1000) / age : null;
  }
}

/** "0/s", "0.3/s", "12/s", "1.2k/s". */
export function rateText(rate: number | null): string {
  return rate === null ? "" : `${countText(rate)}/s`;
}
