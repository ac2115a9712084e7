/** The page's side of the indexer: starts it when it is first needed, and ends it when an expression does not end. */
import type { Engine } from "../engine/client";
import { scriptUrl } from "../engine/trusted";
import indexerUrl from "./indexer?worker&url";
import type { FromIndexer, ToIndexer } from "./messages";
import type { Query } from "./segment";

/** Silence for this long while a search runs means an expression that backtracks without end. */
const PATIENCE_MS = 4_000;

export const TOO_LONG = "This expression takes too long on these lines. A simpler one may do.";

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
  /** The last query of each job. `at` is when anything was heard while it runs, null when it was answered. */
  private readonly asked = new Map<string, { id: number; query: Query; at: number | null; began: number }>();
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
    this.asked.delete(job);
    void this.engine.ask({ do: "feed", job, on: false });
    this.say({ do: "forget", job });
  }

  search(job: string, query: Query | null): void {
    this.start();
    const id = ++this.id;
    const began = performance.now();
    if (query === null) this.asked.delete(job);
    else this.asked.set(job, { id, query, at: began, began });
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
    for (const asked of this.asked.values()) if (asked.at !== null) asked.at = performance.now();
    if (data.tell === "hits") {
      const asked = this.asked.get(data.job);
      // An answer to a query that was replaced meanwhile is of no use.
      if (data.id !== asked?.id) return;
      // As the page felt it: there, through the lines, and back.
      const ms = asked.at === null ? 0 : performance.now() - asked.began;
      asked.at = null;
      this.listeners.get(data.job)?.hits({ ...data, ms });
    } else if (data.tell === "errors") this.listeners.get(data.job)?.errors(data.sequences, data.lines);
    else if (data.tell === "wrong") {
      if (data.id !== this.asked.get(data.job)?.id) return;
      this.asked.delete(data.job);
      this.listeners.get(data.job)?.failed(data.message);
    } else if (data.tell === "time") {
      this.times.get(data.id)?.(data.sequence);
      this.times.delete(data.id);
    }
  }

  private impatient(): void {
    const now = performance.now();
    const stuck = [...this.asked].filter(([, { at }]) => at !== null && now - at >= PATIENCE_MS);
    if (stuck.length === 0) return;
    this.worker?.terminate();
    this.worker = null;
    for (const [job] of stuck) {
      this.asked.delete(job);
      this.listeners.get(job)?.failed(TOO_LONG);
    }
    this.start();
    // What the others had asked goes on with the new worker.
    for (const [job, asked] of this.asked) {
      asked.at = performance.now();
      this.say({ do: "search", job, id: asked.id, query: asked.query });
    }
  }

  private say(message: ToIndexer): void {
    this.worker?.postMessage(message);
  }
}
