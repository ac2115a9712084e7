/** The list of jobs: pages of the HTTP API first, then the live changes. Told in portions. */
import type { Subscription } from "../live/connection";
import { type Api, ApiError } from "../wire/api";
import type { JobRecord, ToViewer } from "../wire/messages";
import { type RetryPolicy, retryDelay } from "../wire/retry";
import type { Problem } from "./messages";

export interface Changes {
  changed: JobRecord[];
  removed: string[];
  loaded: boolean;
  problem: Problem | null;
}

const TELL_MS = 100;
/** The page says "every few seconds". */
const RETRY: RetryPolicy = { firstMs: 3_000, mostMs: 3_000 };
const RETRY_LEAST_MS = 1_500;
/** Pages asked for: a few thousand jobs. */
const MOST_PAGES = 50;

export class JobList {
  private readonly changed = new Map<string, JobRecord>();
  private readonly removed = new Set<string>();
  /** When each record was last heard live; a page that was read earlier must not undo it. */
  private readonly heard = new Map<string, number>();
  /** What is known of each job: its growth is told apart from its changes, and either may come late. */
  private readonly known = new Map<string, JobRecord>();
  private telling = false;
  private loaded = false;
  private loading = false;
  /** Asked for while it is being read: what was read before may have changed since. */
  private again = false;
  private problem: Problem | null = null;

  constructor(
    private readonly api: () => Api,
    private readonly clock: { now(): number; later(ms: number, step: () => void): () => void },
    private readonly tell: (changes: Changes) => void,
    /** Settles when nobody waits for a job's first rows any more: thousands of jobs would keep them off a slow line. */
    private readonly quiet: () => Promise<unknown>,
  ) {}

  get subscription(): Subscription {
    return {
      request: () => ({ jobs: {} }),
      // Whatever changed while nobody listened is read again.
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
      for (let page = 0; page < MOST_PAGES; page++) {
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
        this.clock.later(retryDelay(RETRY, 0, RETRY_LEAST_MS), () => void this.load());
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
    this.clock.later(TELL_MS, () => {
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

/** The later word of a job's state, and the further one of its log. */
export function mergeRecords(before: JobRecord | undefined, now: JobRecord): JobRecord {
  if (before === undefined) return now;
  const { tip, last } = before.tip > now.tip ? before : now;
  return { ...(before.seen > now.seen ? before : now), tip, last };
}
