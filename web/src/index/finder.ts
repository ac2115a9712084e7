/** The page's side of the indexer: starts it on first use, and ends it when an expression does not end. */
import type { Engine } from "../engine/client";
import { scriptUrl } from "../engine/trustedUrl";
import indexerUrl from "./indexer?worker&url";
import type { FoundLines } from "./linePositions";
import type { FromIndexer, ToIndexer } from "./messages";
import type { Query } from "./query";
import { STOPPED_EXPRESSION } from "./stoppedExpression";

/** While there is a query, ask the worker this often whether it still answers. */
const CHECK_MS = 500;
/**
 * After this many unanswered questions, the expression is considered to backtrack without end. Counted, not timed: a
 * page that was suspended asks late.
 */
const MAX_SILENT_CHECKS = 4;

export interface Found {
  readonly found: FoundLines;
  /** Lines searched. */
  readonly lines: number;
  /** How long the search of the loaded lines took. */
  readonly ms: number;
}

export interface Listener {
  /** Lines are reported with their times. */
  readonly timed: boolean;
  hits(found: Found): void;
  errors(found: FoundLines, lines: number): void;
  failed(message: string): void;
}

export class Finder {
  private worker: Worker | null = null;
  private id = 0;
  /** The last query of each job. Later lines are searched too, so the query is watched until it is withdrawn. */
  private readonly asked = new Map<string, { id: number; query: Query; began: number; answered: boolean }>();
  /** Questions since the last message; null until the worker, which takes time to load, sent its first one. */
  private silent: number | null = null;
  /** The job that the worker worked on at its last message. */
  private busy: string | null = null;
  private watch: ReturnType<typeof setInterval> | undefined;
  private readonly listeners = new Map<string, Listener>();
  private readonly times = new Map<number, { job: string; time: number; tell(sequence: number | null): void }>();

  constructor(private readonly engine: Engine) {}

  /** Index a job that the engine has open. */
  index(job: string, listener: Listener): void {
    this.start();
    this.listeners.set(job, listener);
    if (listener.timed) this.send({ do: "timed", job });
    void this.engine.ask({ do: "feed", job, on: true });
  }

  forget(job: string): void {
    this.listeners.delete(job);
    this.asked.delete(job);
    void this.engine.ask({ do: "feed", job, on: false });
    this.send({ do: "forget", job });
  }

  search(job: string, query: Query | null): void {
    this.start();
    const id = ++this.id;
    if (query === null) this.asked.delete(job);
    else this.asked.set(job, { id, query, began: performance.now(), answered: false });
    this.send({ do: "search", job, id, query });
  }

  timeToSequence(job: string, time: number): Promise<number | null> {
    this.start();
    const id = ++this.id;
    return new Promise((resolve) => {
      this.times.set(id, { job, time, tell: resolve });
      this.send({ do: "time", job, id, time });
    });
  }

  private start(): void {
    if (this.worker !== null) return;
    const worker = new Worker(scriptUrl(indexerUrl), { type: "module", name: "logferry-index" });
    this.worker = worker;
    this.silent = this.busy = null;
    worker.onmessage = ({ data }: MessageEvent<FromIndexer>) => this.receive(data);
    const { port1, port2 } = new MessageChannel();
    worker.postMessage({ do: "feed", port: port2 } satisfies ToIndexer, [port2]);
    this.engine.connectIndexer(port1);
    for (const [job, { timed }] of this.listeners) {
      if (timed) this.send({ do: "timed", job });
      void this.engine.ask({ do: "feed", job, on: true });
    }
    clearInterval(this.watch);
    this.watch = setInterval(() => this.checkAlive(), CHECK_MS);
  }

  private receive(data: FromIndexer): void {
    this.silent = 0;
    if (data.tell === "alive") this.busy = data.job;
    else if (data.tell === "hits") {
      const asked = this.asked.get(data.job);
      // Ignore an answer to a query that was replaced in the meantime.
      if (data.id !== asked?.id) return;
      // As the page experiences it: request, search and answer.
      const ms = asked.answered ? 0 : performance.now() - asked.began;
      asked.answered = true;
      this.listeners.get(data.job)?.hits({ ...data, ms });
    } else if (data.tell === "errors") this.listeners.get(data.job)?.errors(data.found, data.lines);
    else if (data.tell === "wrong") {
      if (data.id !== this.asked.get(data.job)?.id) return;
      this.asked.delete(data.job);
      this.listeners.get(data.job)?.failed(data.message);
    } else {
      this.times.get(data.id)?.tell(data.sequence);
      this.times.delete(data.id);
    }
  }

  private checkAlive(): void {
    if (this.asked.size === 0 || this.silent === null) return;
    if (this.silent < MAX_SILENT_CHECKS) {
      this.silent++;
      this.send({ do: "hear" });
      return;
    }
    this.worker?.terminate();
    this.worker = null;
    // Other jobs with the same query would block next.
    const endless = this.busy === null ? undefined : this.asked.get(this.busy)?.query;
    const stuck = [...this.asked].filter(
      ([, { query }]) => endless === undefined || JSON.stringify(query) === JSON.stringify(endless),
    );
    for (const [job] of stuck) {
      this.asked.delete(job);
      this.listeners.get(job)?.failed(STOPPED_EXPRESSION);
    }
    this.start();
    // The new worker continues the other jobs' requests.
    for (const [job, { id, query }] of this.asked) this.send({ do: "search", job, id, query });
    for (const [id, { job, time }] of this.times) this.send({ do: "time", job, id, time });
  }

  private send(message: ToIndexer): void {
    this.worker?.postMessage(message);
  }
}
