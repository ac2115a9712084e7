/**
 * Export one job or a part of it: loaded batches from memory, the rest from history, page by page. Loaded on first use.
 */
import type { OpenJob } from "../engine/job";
import type { ExportRequest, SaveFormat } from "../engine/messages";
import { type Columns, decodeBody, fromBase64 } from "../log/body";
import { type Api, ApiError } from "../wire/api";
import { type RetryPolicy, retryDelay } from "../wire/retry";
import { ExpressionFilter, formatLine, lineFilter } from "./format";
import { firstSequence, LineJoiner } from "./lineJoiner";

/** Text of this size becomes a blob: browsers keep blobs outside of the tab's own memory. */
const PART_CHARS = 4_000_000;
const PAGE_BATCHES = 500;
const SLICE_MS = 20;
const MAX_TRIES = 6;
const RETRY: RetryPolicy = { firstMs: 1_600, maxMs: 16_000 };

export interface ExportContext {
  cancelled(): boolean;
  /** Report entries processed so far, and in total. */
  progress(done: number, of: number): void;
}

/** Text that is collected into a blob. */
export class BlobBuilder {
  private readonly blobs: Blob[] = [];
  private parts: string[] = [];
  private size = 0;

  add(text: string): void {
    this.parts.push(text);
    this.size += text.length;
    if (this.size >= PART_CHARS) this.flush();
  }

  blob(format: SaveFormat): Blob {
    this.flush();
    return new Blob(this.blobs, { type: format === "jsonl" ? "application/x-ndjson" : "text/plain;charset=utf-8" });
  }

  private flush(): void {
    this.blobs.push(new Blob(this.parts));
    this.parts = [];
    this.size = 0;
  }
}

/** Lets the worker's other tasks run now and then, reports progress, and ends a cancelled export. */
export class ProgressTicker {
  private until = performance.now() + SLICE_MS;

  constructor(private readonly context: ExportContext) {}

  async tick(done: number, of: number): Promise<void> {
    if (this.context.cancelled()) throw new Error("Cancelled.");
    if (performance.now() < this.until) return;
    this.context.progress(done, of);
    await new Promise((resolve) => setTimeout(resolve));
    this.until = performance.now() + SLICE_MS;
  }
}

export async function exportJob(
  job: Pick<OpenJob, "id" | "store" | "feed">,
  api: Api,
  { first, last, marked, query, ...form }: ExportRequest,
  context: ExportContext,
): Promise<Blob> {
  const wanted = query === null ? () => true : lineFilter(query);
  // Without a filter, export entries as stored, in their order. Filters and marked ranges select whole lines.
  const lines = new LineJoiner(form.format === "jsonl" && query === null && !marked);
  const [parts, breath] = [new BlobBuilder(), new ProgressTicker(context)];
  const texts = new ExpressionFilter(query);
  const write = async (end: boolean): Promise<void> => {
    const ready = lines.ready(end).filter((line) => firstSequence(line) <= last && wanted(line));
    for (const line of await texts.matching(ready)) parts.add(formatLine(job.id, line, form));
  };
  const end = marked ? Math.max(last, job.feed.tip) : last;
  try {
    for await (const { start, columns, count } of jobBatches(job, api, first, end)) {
      lines.add(start, columns, first, end);
      await write(false);
      if (start + count > last && !lines.goesOn(last)) break;
      await breath.tick(Math.min(last, start + count - 1) - first + 1, last - first + 1);
    }
    await write(true);
  } finally {
    texts.destroy();
  }
  return parts.blob(form.format);
}

export interface ExportBatch {
  readonly start: number;
  readonly count: number;
  readonly columns: Columns;
}

export async function* jobBatches(
  { id, store }: Pick<OpenJob, "id" | "store">,
  api: Api,
  first: number,
  last: number,
): AsyncGenerator<ExportBatch> {
  for (let next = first; next <= last; ) {
    const here = store.holding(next);
    if (here !== null) {
      yield { start: here.first, count: here.count, columns: decodeOrNotice(here.first, () => here.body, here.count) };
      next = here.first + here.count;
      continue;
    }
    const page = await withRetries(() => api.history(id, "after", next - 1, PAGE_BATCHES));
    const before = next;
    for (const batch of page.batches) {
      // Older lines may no longer be kept: the export then begins later.
      if (batch.first > last || batch.first + batch.count <= next) continue;
      yield {
        start: batch.first,
        count: batch.count,
        columns: decodeOrNotice(batch.first, () => fromBase64(batch.body), batch.count),
      };
      next = batch.first + batch.count;
    }
    if (next === before) break;
  }
}

/** Return a body's columns, or a notice in its place when it cannot be decoded: no entry is omitted silently. */
function decodeOrNotice(first: number, body: () => Uint8Array, count: number): Columns {
  try {
    return decodeBody(body(), count);
  } catch {
    const detail = `Entries ${first} to ${first + count - 1} cannot be read.`;
    return {
      times: Float64Array.of(0),
      streams: "s",
      texts: [JSON.stringify({ event: "notice", code: "unreadable", detail })],
    };
  }
}

async function withRetries<T>(step: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof ApiError) || !error.passing || tries >= MAX_TRIES) throw error;
      const delay = retryDelay(RETRY, tries - 1, error.retryAfterMs ?? 0);
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}
