/**
 * Tests a person's expression on texts, in a worker that can be ended: JavaScript's expressions may backtrack without
 * end. Loaded on first use.
 */
import { scriptUrl } from "../engine/trustedUrl";
import type { Query } from "../index/query";
import { STOPPED_EXPRESSION } from "../index/stoppedExpression";
import type { TrialAnswer, TrialRequest } from "./trialMessages";
import trialUrl from "./trialWorker?worker&url";

/**
 * After this many checks without a message, half a second apart, the expression is considered endless. Counted, not
 * timed: a page that was suspended checks late.
 */
const CHECK_MS = 500;
const MAX_SILENT_CHECKS = 4;

export class Trial {
  private worker: Worker | null = null;
  private alive = false;
  private turn: Promise<unknown> = Promise.resolve();
  private reject: (reason: Error) => void = () => undefined;
  private onMessage: (answer: TrialAnswer) => void = () => undefined;

  /** Return where the expression matches in each text. Rejects when that takes too long. */
  ranges(query: Query, texts: readonly string[]): Promise<readonly (readonly number[])[]> {
    return this.inTurn({ query, texts, what: "ranges" });
  }

  /** Return which texts the expression matches. Rejects when that takes too long. */
  test(query: Query, texts: readonly string[]): Promise<readonly boolean[]> {
    return this.inTurn({ query, texts, what: "test" });
  }

  destroy(reason = new Error("ended")): void {
    this.worker?.terminate();
    this.worker = null;
    this.reject(reason);
  }

  private inTurn<T>(tried: TrialRequest): Promise<T> {
    const step = this.turn.then(() => this.run<T>(tried));
    this.turn = step.catch(() => undefined);
    return step;
  }

  private run<T>(tried: TrialRequest): Promise<T> {
    this.worker ??= this.start();
    const worker = this.worker;
    return new Promise<T>((resolve, reject) => {
      let silent = 0;
      let watch: ReturnType<typeof setInterval> | undefined;
      this.reject = (reason) => {
        clearInterval(watch);
        reject(reason);
      };
      // A worker takes time to load.
      const begin = (): void => {
        watch = setInterval(
          () => ++silent >= MAX_SILENT_CHECKS && this.destroy(new Error(STOPPED_EXPRESSION)),
          CHECK_MS,
        );
        worker.postMessage(tried);
      };
      this.onMessage = (answer) => {
        silent = 0;
        if (answer === "alive") return;
        clearInterval(watch);
        resolve(answer as T);
      };
      if (this.alive) begin();
      else {
        const hear = this.onMessage;
        this.onMessage = () => {
          this.alive = true;
          this.onMessage = hear;
          begin();
        };
      }
    });
  }

  private start(): Worker {
    const worker = new Worker(scriptUrl(trialUrl), { type: "module", name: "logferry-trial" });
    this.alive = false;
    worker.onmessage = ({ data }: MessageEvent<TrialAnswer>) => this.onMessage(data);
    // Usually its script cannot be loaded (another version is deployed, or the network is down): stop waiting for it.
    worker.onerror = () => this.destroy(new Error("The worker that tests expressions failed. Reload the page."));
    return worker;
  }
}
