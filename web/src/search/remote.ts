/** The page's side of a search on the service: what it found so far, and how far it is. */
import { signal } from "@preact/signals";
import { scriptUrl } from "../engine/trusted";
import type { Query } from "../index/segment";
import { token } from "../login/key";
import type { FromSearcher, ToSearcher } from "./messages";
import { forServer } from "./re2";
import searcherUrl from "./searcher?worker&url";

/** Looking at matches again takes milliseconds, unless the expression backtracks without end. */
const PATIENCE_MS = 4_000;

export interface Progress {
  readonly state: "searching" | "done" | "full" | "failed";
  /** Lines searched, of `lines`. */
  readonly covered: number;
  readonly lines: number;
  /** Why it failed. */
  readonly message: string;
}

export class RemoteSearch {
  /** Null while nothing is asked of the service. */
  readonly progress = signal<Progress | null>(null);
  /** Ascending. */
  sequences = new Float64Array(0);
  /** All matches at or after this are known, as far as the service is concerned: it answers in stretches, and ascending within one. */
  sureFrom = 0;
  private worker: Worker | null = null;
  private id = 0;
  private watch: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly job: string,
    private readonly api: string,
    private readonly changed: () => void,
  ) {}

  /** Searches first..last. False when the service cannot be asked this. */
  begin(query: Query, first: number, last: number): boolean {
    this.stop();
    const asked = forServer(query);
    if (asked === null) return false;
    this.start();
    this.sureFrom = last + 1;
    this.progress.value = { state: "searching", covered: 0, lines: last - first + 1, message: "" };
    const id = ++this.id;
    this.say({ do: "search", task: { id, api: this.api, token: token.peek() ?? "", job: this.job, query, asked, first, last } });
    return true;
  }

  stop(): void {
    this.id++;
    clearTimeout(this.watch);
    if (this.progress.peek()?.state === "searching") this.say({ do: "stop" });
    this.sequences = new Float64Array(0);
    this.sureFrom = 0;
    this.progress.value = null;
  }

  destroy(): void {
    this.stop();
    this.worker?.terminate();
    this.worker = null;
  }

  private start(): void {
    if (this.worker !== null) return;
    this.worker = new Worker(scriptUrl(searcherUrl), { type: "module", name: "logferry-search" });
    this.worker.onmessage = ({ data }: MessageEvent<FromSearcher>) => this.hear(data);
  }

  private hear(data: FromSearcher): void {
    if (data.id !== this.id) return;
    clearTimeout(this.watch);
    const before = this.progress.peek();
    if (before === null) return;
    if (data.tell === "checking") {
      this.watch = setTimeout(() => this.giveUp(), PATIENCE_MS);
      return;
    }
    if (data.tell === "found") {
      if (data.sequences.length > 0) {
        const all = new Float64Array(this.sequences.length + data.sequences.length);
        all.set(this.sequences);
        all.set(data.sequences, this.sequences.length);
        this.sequences = all.sort();
      }
      this.sureFrom -= data.covered - before.covered;
      this.progress.value = { ...before, covered: data.covered };
    } else if (data.tell === "done") this.over({ ...before, state: data.full ? "full" : "done" });
    else this.over({ ...before, state: "failed", message: data.message });
    this.changed();
  }

  private giveUp(): void {
    this.worker?.terminate();
    this.worker = null;
    const before = this.progress.peek();
    if (before !== null) this.over({ ...before, state: "failed", message: "This expression takes too long on these lines." });
    this.changed();
  }

  private over(progress: Progress): void {
    this.sureFrom = 0;
    this.progress.value = progress;
  }

  private say(message: ToSearcher): void {
    this.worker?.postMessage(message);
  }
}
