/** The list of jobs: first pages of the HTTP API, then live changes, reported in groups. */
import type { Subscription } from "../live/connection";
import { type Api, ApiError } from "../wire/api";
import type { JobRecord, ToViewer } from "../wire/messages";
import { type RetryPolicy, retryDelay } from "../wire/retry";
import type { Problem } from "./messages";

export interface JobListChanges {
  changed: JobRecord[];
  removed: string[];
  loaded: boolean;
  problem: Problem | null;
}

const REPORT_MS = 100;
/** The page says "every few seconds". */
const RETRY: RetryPolicy = { firstMs: 3_000, maxMs: 3_000 };
const RETRY_MIN_MS = 1_500;
/** Pages to request: a few thousand jobs. */
const MAX_PAGES = 50;

export class JobList {
  private readonly changed = new Map<string, JobRecord>();
  private readonly removed = new Set<string>();
  /** When each record last arrived live; a page read earlier must not undo it. */
  private readonly heard = new Map<string, number>();
  /** The merged record of each job. Its growth and its state changes arrive separately, and either may be late. */
  private readonly known = new Map<string, JobRecord>();
  private telling = false;
  private loaded = false;
  private loading = false;
  /** Requested again while loading: earlier pages may be out of date. */
  private again = false;
  private problem: Problem | null = null;

  constructor(
    private readonly api: () => Api,
    private readonly clock: { now(): number; later(ms: number, step: () => void): () => void },
    private readonly tell: (changes: JobListChanges) => void,
    /** Settles when no job waits for its first rows. Thousands of jobs would delay those on a slow line. */
    private readonly quiet: () => Promise<unknown>,
  ) {}

  get subscription(): Subscription {
    return {
      request: () => ({ jobs: {} }),
      // Read the list again: it may have changed while nobody listened.
      answer: (message) => {
        if (message.type === "subscribed") void this.load();
      },
    };
  }

  receive({ record, deleted }: ToViewer & { type: "job" }): void {
    this.heard.set(record.job, this.clock.now());
    this.note(record, deleted);
  }

  async load(): Promise<void> {
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    await this.quiet();
    this.again = false;
    const began = this.clock.now();
    try {
      let next: string | null = null;
      for (let page = 0; page < MAX_PAGES; page++) {
        const answer: { jobs: JobRecord[]; next: string | null } = await this.api().jobs(next);
        for (const record of answer.jobs) if ((this.heard.get(record.job) ?? 0) < began) this.note(record, false);
        next = answer.next;
        if (next === null) break;
      }
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0;
      this.problem = { status, message: error instanceof Error ? error.message : String(error) };
      if (!(error instanceof ApiError) || error.passing) {
        this.clock.later(retryDelay(RETRY, 0, RETRY_MIN_MS), () => void this.load());
      }
    } finally {
      this.loading = false;
    }
    this.soon();
    if (this.again) await this.load();
  }

  private note(record: JobRecord, deleted: boolean): void {
    if (deleted) {
      this.changed.delete(record.job);
      this.known.delete(record.job);
      this.removed.add(record.job);
    } else {
      this.removed.delete(record.job);
      const merged = mergeRecords(this.known.get(record.job), record);
      this.known.set(record.job, merged);
      this.changed.set(record.job, merged);
    }
    this.soon();
  }

  private soon(): void {
    if (this.telling) return;
    this.telling = true;
    this.clock.later(REPORT_MS, () => {
      this.telling = false;
      this.tell({
        changed: [...this.changed.values()],
        removed: [...this.removed],
        loaded: this.loaded,
        problem: this.problem,
      });
      this.changed.clear();
      this.removed.clear();
    });
  }
}

/** Merge two records of a job: the state last seen, and the greater tip. */
export function mergeRecords(before: JobRecord | undefined, now: JobRecord): JobRecord {
  if (before === undefined) return now;
  const { tip, last } = before.tip > now.tip ? before : now;
  return { ...(before.seen > now.seen ? before : now), tip, last };
}
