/** The page's side of the worker: requests with answers, and events. */
import type { Answers, ExportRequest, JobFacts, MergedExportRequest, Request, WorkerMessage } from "./messages";
import { scriptUrl } from "./trustedUrl";
import workerUrl from "./worker?worker&url";

/** Report entries processed so far, and in total. */
export type Progress = (done: number, of: number) => void;

type WorkerEvent = Exclude<WorkerMessage, { tell: "answer" | "failed" }>;

export class Engine {
  private readonly worker = new Worker(scriptUrl(workerUrl), { type: "module", name: "logferry" });
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private next = 1;
  private readonly listeners = new Set<(tell: WorkerEvent) => void>();

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => this.receive(data);
  }

  ask<D extends Request["do"]>(request: Request & { do: D }): Promise<Answers[D]> {
    const id = this.next++;
    return new Promise<Answers[D]>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.worker.postMessage({ id, request });
    });
  }

  listen(listener: (tell: WorkerEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Export lines of one job. Rejects when it is cancelled. */
  exportJob(job: string, what: ExportRequest, progress?: Progress, signal?: AbortSignal): Promise<Blob> {
    return this.runExport((id) => this.ask({ do: "export", job, id, what }), progress, signal);
  }

  /** Export lines of the merged jobs. Rejects when it is cancelled. */
  exportMerged(what: MergedExportRequest, progress?: Progress, signal?: AbortSignal): Promise<Blob> {
    return this.runExport((id) => this.ask({ do: "exportMerged", id, what }), progress, signal);
  }

  private runExport(begin: (id: number) => Promise<Blob>, progress?: Progress, signal?: AbortSignal): Promise<Blob> {
    const id = this.next++;
    const stop = this.listen((tell) => {
      if (tell.tell === "exportProgress" && tell.id === id) progress?.(tell.done, tell.of);
    });
    signal?.addEventListener("abort", () => void this.ask({ do: "cancelExport", id }));
    return begin(id).finally(stop);
  }

  /** Pass the worker its end of the channel to the indexer. */
  connectIndexer(port: MessagePort): void {
    this.worker.postMessage({ id: 0, request: { do: "indexer", port } satisfies Request }, [port]);
  }

  private receive(tell: WorkerMessage): void {
    if (tell.tell === "answer") {
      this.waiting.get(tell.id)?.resolve(tell.value);
      this.waiting.delete(tell.id);
    } else if (tell.tell === "failed") {
      this.waiting.get(tell.id)?.reject(new Error(tell.message));
      this.waiting.delete(tell.id);
    } else for (const listener of this.listeners) listener(tell);
  }
}

export type { JobFacts };
