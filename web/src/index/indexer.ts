/**
 * The second worker: reads every batch that the first one holds, and searches. It is separate so that a search never
 * delays a row, and so that an endless expression can be ended together with its worker.
 */
import { decodeBody, prepareDecoder } from "../log/body";
import { ERROR } from "../text/levelNames";
import type { FoundLines } from "./linePositions";
import type { FromIndexer, IndexedBatch, ToIndexer } from "./messages";
import type { Query } from "./query";
import { Matcher, type Segment, segmentOf } from "./segment";
import { Segments } from "./segments";

const page = self as unknown as {
  postMessage(message: FromIndexer, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToIndexer>) => void) | null;
};

/** Work in slices of this length, so that a new query is noticed in between. */
const SLICE_MS = 24;
const REPORT_MS = 250;

class JobIndex {
  private readonly segments = new Segments();
  private waiting: IndexedBatch[] = [];
  private readonly seen = new Set<number>();
  private errors = new Map<number, number[]>();
  private matcher: Matcher | null = null;
  private next = 0;
  private asked = 0;
  private began = 0;
  private working = false;
  private changed = { errors: false, hits: false };
  private telling = false;
  /** Lines indexed. */
  lines = 0;
  /** Lines are reported with their times. */
  timed = false;

  constructor(private readonly job: string) {}

  add(batches: readonly IndexedBatch[]): void {
    for (const batch of batches) {
      if (this.seen.has(batch.first)) continue;
      this.seen.add(batch.first);
      this.waiting.push(batch);
    }
    void this.work();
  }

  search(id: number, query: Query | null): void {
    this.asked = id;
    this.matcher = query === null ? null : new Matcher(query);
    this.segments.look(this.matcher);
    this.next = 0;
    this.began = performance.now();
    void this.work();
  }

  /** Return the sequence of the first loaded entry at or after a time, or null. */
  at(time: number): number | null {
    for (const { first, count, times } of this.segments.all) {
      if ((times[count - 1] as number) < time) continue;
      for (let offset = 0; offset < count; offset++) if ((times[offset] as number) >= time) return first + offset;
    }
    return null;
  }

  private async work(): Promise<void> {
    if (this.working) return;
    this.working = true;
    let until = performance.now() + SLICE_MS;
    page.postMessage({ tell: "alive", job: this.job });
    for (;;) {
      // First search the indexed lines, then index more.
      if (this.matcher !== null && this.next < this.segments.length) this.segments.match(this.next++);
      else if (this.matcher !== null && this.began > 0) this.done();
      else if (this.waiting.length > 0) this.read(this.waiting.pop() as IndexedBatch);
      else break;
      if (performance.now() < until) continue;
      await yieldToMessages();
      until = performance.now() + SLICE_MS;
      page.postMessage({ tell: "alive", job: this.job });
    }
    this.working = false;
    this.tell();
  }

  private done(): void {
    const ms = performance.now() - this.began;
    this.began = 0;
    this.tellHits(ms);
  }

  private read(batch: IndexedBatch): void {
    this.lines += batch.count;
    let segment: Segment;
    try {
      segment = segmentOf(batch.first, decodeBody(batch.body, batch.count));
    } catch {
      // This batch holds nothing to find, and is complete.
      this.changed.errors = true;
      this.soon();
      return;
    }
    const at = this.segments.insert(segment);
    const bad: number[] = [];
    for (let offset = 0; offset < segment.count; offset++) {
      if ((segment.levels[offset] as number) >= ERROR) bad.push(segment.first + offset);
    }
    this.changed.errors = true;
    if (bad.length > 0) this.errors.set(segment.first, bad);
    if (this.matcher !== null) {
      this.segments.matchNew(at);
      this.next++;
      this.changed.hits = true;
    }
    this.soon();
  }

  private soon(): void {
    if (this.telling) return;
    this.telling = true;
    setTimeout(() => {
      this.telling = false;
      this.tell();
    }, REPORT_MS);
  }

  private tell(): void {
    if (this.changed.errors) {
      this.changed.errors = false;
      const found = this.gather(({ first }) => this.errors.get(first));
      page.postMessage({ tell: "errors", job: this.job, found, lines: this.lines }, buffersOf(found));
    }
    if (this.changed.hits && this.began === 0) this.tellHits(0);
  }

  private tellHits(ms: number): void {
    this.changed.hits = false;
    const found = this.gather((segment) => this.segments.found(segment));
    page.postMessage({ tell: "hits", job: this.job, id: this.asked, found, lines: this.lines, ms }, buffersOf(found));
  }

  private gather(of: (segment: Segment) => readonly number[] | undefined): FoundLines {
    const parts = this.segments.all.map(of);
    const total = parts.reduce((sum, part) => sum + (part?.length ?? 0), 0);
    const sequences = new Float64Array(total);
    const times = this.timed ? new Float64Array(total) : null;
    let at = 0;
    for (const [nth, { first, times: all }] of this.segments.all.entries()) {
      const part = parts[nth];
      if (part === undefined) continue;
      sequences.set(part, at);
      if (times !== null)
        for (const [index, sequence] of part.entries()) times[at + index] = all[sequence - first] as number;
      at += part.length;
    }
    return { sequences, times };
  }
}

function buffersOf({ sequences, times }: FoundLines): Transferable[] {
  return times === null ? [sequences.buffer] : [sequences.buffer, times.buffer];
}

const turns = new MessageChannel();
const yielding: (() => void)[] = [];
turns.port1.onmessage = () => yielding.shift()?.();

/** Let waiting messages in, sooner than a timer would. */
function yieldToMessages(): Promise<void> {
  return new Promise((resolve) => {
    yielding.push(resolve);
    turns.port2.postMessage(null);
  });
}

const jobs = new Map<string, JobIndex>();

function indexOf(job: string): JobIndex {
  let index = jobs.get(job);
  if (index === undefined) {
    index = new JobIndex(job);
    jobs.set(job, index);
  }
  return index;
}

page.onmessage = ({ data }) => {
  switch (data.do) {
    case "feed":
      // The store's end of the channel: batches arrive without passing through the page.
      data.port.onmessage = ({ data: fed }: MessageEvent<{ job: string; batches: IndexedBatch[] }>) => {
        void prepareDecoder().then(() => indexOf(fed.job).add(fed.batches));
      };
      break;
    case "search":
      try {
        indexOf(data.job).search(data.id, data.query);
      } catch (error) {
        page.postMessage({
          tell: "wrong",
          job: data.job,
          id: data.id,
          message: error instanceof Error ? error.message : String(error),
        });
      }
      break;
    case "timed":
      indexOf(data.job).timed = true;
      break;
    case "time":
      page.postMessage({ tell: "time", id: data.id, sequence: indexOf(data.job).at(data.time) });
      break;
    case "forget":
      jobs.delete(data.job);
      break;
    case "hear":
      page.postMessage({ tell: "alive", job: null });
      break;
  }
};

page.postMessage({ tell: "alive", job: null });
