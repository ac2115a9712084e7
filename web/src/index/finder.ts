/** The page's side of the indexer: starts it when it is first needed, and ends it when an expression does not end. */
import type { Engine } from "../engine/client";
import { scriptUrl } from "../engine/trusted";
import indexerUrl from "./indexer?worker&url";
import type { FromIndexer, ToIndexer } from "./messages";
import type { Query } from "./segment";

/** Silence for this long while a search runs means an expression that backtracks without end. */
const PATIENCE_MS = 4_000;

export interface Found {
  readonly sequences: Float64Array;
  /** Lines looked at. */
  readonly lines: number;
  /** How long it took over what was here. */
  readonly ms: number;
}

export interface Listener {
  hits(found: Found): void;
  errors(sequences: Float64Array, lines: number): void;
  failed(message: string): void;
}

export class Finder {
  private worker: Worker | null = null;
  private id = 0;
  private pending: { id: number; job: string; at: number; began: number } | null = null;
  private watch: ReturnType<typeof setInterval> | undefined;
  private readonly listeners = new Map<string, Listener>();
  private readonly times = new Map<number, (sequence: number | null) => void>();

  constructor(private readonly engine: Engine) {}

  /** Begins to index a job that the engine has open. */
  index(job: string, listener: Listener): void {
    this.listeners.set(job, listener);
    this.start();
    void this.engine.ask({ do: "feed", job, on: true });
  }

  forget(job: string): void {
    this.listeners.delete(job);
    void this.engine.ask({ do: "feed", job, on: false });
    this.say({ do: "forget", job });
  }

  search(job: string, query: Query | null): void {
    this.start();
    const id = ++this.id;
    this.pending = query === null ? null : { id, job, at: performance.now(), began: performance.now() };
    this.say({ do: "search", job, id, query });
  }

  timeToSequence(job: string, time: number): Promise<number | null> {
    this.start();
    const id = ++this.id;
    return new Promise((resolve) => {
      this.times.set(id, resolve);
      this.say({ do: "time", job, id, time });
    });
  }

  private start(): void {
    if (this.worker !== null) return;
    const worker = new Worker(scriptUrl(indexerUrl), { type: "module", name: "logferry-index" });
    this.worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromIndexer>) => this.hear(data);
    const { port1, port2 } = new MessageChannel();
    worker.postMessage({ do: "feed", port: port2 } satisfies ToIndexer, [port2]);
    this.engine.connectIndexer(port1);
    for (const job of this.listeners.keys()) void this.engine.ask({ do: "feed", job, on: true });
    clearInterval(this.watch);
    this.watch = setInterval(() => this.impatient(), 1_000);
  }

  private hear(data: FromIndexer): void {
    if (this.pending !== null) this.pending.at = performance.now();
    if (data.tell === "hits") {
      // An answer to a query that was replaced meanwhile is of no use.
      if (data.id !== this.id) return;
      // As the page felt it: there, through the lines, and back.
      const ms = this.pending === null ? 0 : performance.now() - this.pending.began;
      this.pending = null;
      this.listeners.get(data.job)?.hits({ ...data, ms });
    } else if (data.tell === "errors") this.listeners.get(data.job)?.errors(data.sequences, data.lines);
    else if (data.tell === "wrong") {
      if (data.id !== this.id) return;
      this.pending = null;
      this.listeners.get(data.job)?.failed(data.message);
    } else if (data.tell === "time") {
      this.times.get(data.id)?.(data.sequence);
      this.times.delete(data.id);
    }
  }

  private impatient(): void {
    const { pending } = this;
    if (pending === null || performance.now() - pending.at < PATIENCE_MS) return;
    this.pending = null;
    this.worker?.terminate();
    this.worker = null;
    this.listeners.get(pending.job)?.failed("This expression takes too long on these lines. A simpler one may do.");
    this.start();
  }

  private say(message: ToIndexer): void {
    this.worker?.postMessage(message);
  }
}
