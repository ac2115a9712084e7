/** The page's side of searches on the service: what each found so far, and how far it is. */
import { signal } from "@preact/signals";
import { scriptUrl } from "../engine/trustedUrl";
import { type FoundLines, NO_LINES, union } from "../index/linePositions";
import type { Query } from "../index/query";
import { STOPPED_EXPRESSION } from "../index/stoppedExpression";
import { token } from "../login/key";
import type { FromSearcher, Task, ToSearcher } from "./messages";
import searcherUrl from "./searchWorker?worker&url";

/** Checking matches takes milliseconds, unless the expression backtracks without end. */
const MATCH_TIMEOUT_MS = 2_000;

export interface Progress {
  readonly state: "searching" | "done" | "full" | "failed";
  /** Searched lines, of `lines`. */
  readonly covered: number;
  readonly lines: number;
  /** Lines that were too long to be searched whole, and had no match. */
  readonly unsearched: number;
  /** Why it failed. */
  readonly message: string;
}

type SearcherEvent = FromSearcher | { tell: "lost"; id: number };

/** The search worker, started on first use: one for all searches of a page. */
export class Searcher {
  private worker: Worker | null = null;
  private id = 0;
  private readonly asked = new Map<
    number,
    { listener(event: SearcherEvent): void; watch: ReturnType<typeof setTimeout> | undefined }
  >();

  constructor(private readonly api: string) {}

  /** Start a search. `listener` receives what was found until it is done; "lost" when it must be started again. */
  begin(task: Omit<Task, "id" | "api" | "token">, listener: (event: SearcherEvent) => void): number {
    this.start();
    const id = ++this.id;
    this.asked.set(id, { listener, watch: undefined });
    this.send({ do: "search", task: { ...task, id, api: this.api, token: token.peek() ?? "" } });
    return id;
  }

  stop(id: number): void {
    if (this.forget(id)) this.send({ do: "stop", id });
  }

  destroy(): void {
    for (const id of [...this.asked.keys()]) this.forget(id);
    this.worker?.terminate();
    this.worker = null;
  }

  private start(): void {
    if (this.worker !== null) return;
    this.worker = new Worker(scriptUrl(searcherUrl), { type: "module", name: "logferry-search" });
    this.worker.onmessage = ({ data }: MessageEvent<FromSearcher>) => this.receive(data);
  }

  private receive(data: FromSearcher): void {
    const asked = this.asked.get(data.id);
    if (asked === undefined) return;
    clearTimeout(asked.watch);
    if (data.tell === "checking") asked.watch = setTimeout(() => this.giveUp(data.id), MATCH_TIMEOUT_MS);
    if (data.tell === "done" || data.tell === "failed" || data.tell === "alone") this.forget(data.id);
    asked.listener(data);
  }

  /** End an endless expression. The other searches start again in a new worker. */
  private giveUp(id: number): void {
    const all = [...this.asked];
    this.destroy();
    for (const [one, { listener }] of all) {
      listener(one === id ? { tell: "failed", id, status: 0, message: STOPPED_EXPRESSION } : { tell: "lost", id: one });
    }
  }

  private forget(id: number): boolean {
    clearTimeout(this.asked.get(id)?.watch);
    return this.asked.delete(id);
  }

  private send(message: ToSearcher): void {
    this.worker?.postMessage(message);
  }
}

/** One job's search. */
export class RemoteSearch {
  /** Null while the service is not asked. */
  readonly progress = signal<Progress | null>(null);
  found: FoundLines = NO_LINES;
  /** All matches of the service at or after this are known: it answers in stretches, and ascending within one. */
  sureFrom = 0;
  /** The same as a time, µs. */
  since = Number.NEGATIVE_INFINITY;
  private id = 0;

  constructor(
    private readonly job: string,
    private readonly searcher: Searcher,
    private readonly changed: () => void,
    /** Called when the service cannot run the query. */
    private readonly onRefused: (reason: string) => void = () => undefined,
  ) {}

  /** Search first..last; entries written at `since` or later come after that. */
  begin(query: Query, first: number, last: number, since: number): void {
    this.stop();
    [this.sureFrom, this.since] = [last + 1, since];
    this.progress.value = { state: "searching", covered: 0, lines: last - first + 1, unsearched: 0, message: "" };
    this.start({ job: this.job, query, first, last });
  }

  /** Do not ask the service, because of `message`. */
  refuse(lines: number, message: string): void {
    this.stop();
    this.progress.value = { state: "failed", covered: 0, lines, unsearched: 0, message };
  }

  stop(): void {
    this.searcher.stop(this.id);
    [this.id, this.found] = [0, NO_LINES];
    this.settle();
    this.progress.value = null;
  }

  private start(task: Omit<Task, "id" | "api" | "token">): void {
    const before = this.progress.peek()?.covered ?? 0;
    this.id = this.searcher.begin(task, (event) => this.receive(event, task, before));
  }

  private receive(event: SearcherEvent, task: Omit<Task, "id" | "api" | "token">, before: number): void {
    const progress = this.progress.peek();
    if (event.id !== this.id || event.tell === "checking" || progress === null) return;
    if (event.tell === "lost") {
      // The searched part need not be searched again.
      const known = this.found.sequences.findIndex((sequence) => sequence >= this.sureFrom);
      this.found =
        known < 0
          ? NO_LINES
          : { sequences: this.found.sequences.slice(known), times: this.found.times?.slice(known) ?? null };
      this.start({ ...task, last: this.sureFrom - 1 });
      return;
    }
    if (event.tell === "alone") {
      this.stop();
      this.onRefused(event.reason);
    } else if (event.tell === "found") {
      this.found = union(this.found, event.found);
      this.sureFrom = task.last + 1 - event.covered;
      this.since = event.since ?? this.since;
      this.progress.value = {
        ...progress,
        covered: before + event.covered,
        unsearched: progress.unsearched + event.unsearched,
      };
    } else {
      this.settle();
      this.progress.value =
        event.tell === "done"
          ? { ...progress, state: event.full ? "full" : "done" }
          : { ...progress, state: "failed", message: event.message };
    }
    this.changed();
  }

  /** No more matches will come. */
  private settle(): void {
    [this.sureFrom, this.since] = [0, Number.NEGATIVE_INFINITY];
  }
}
