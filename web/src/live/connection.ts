/**
 * One viewer's WebSocket: tickets, reconnects, pings, and a replacement before API Gateway closes it.
 *
 * It holds subscriptions, not data. Each subscription is sent again after every (re)connect; feeds notice missed
 * entries by sequence. Clock, network and randomness come in `ConnectionDeps`, so that tests control time.
 */
import { tryOr } from "../log/tryOr";
import { decodeMessage, type ToViewer } from "../wire/messages";
import { Refusal } from "../wire/refusal";
import { type RetryPolicy, retryDelay } from "../wire/retry";

export interface SocketLike {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
}

export interface ConnectionDeps {
  /** Return a new one-time ticket. Rejects with a Refusal when a retry cannot help. */
  ticket(): Promise<string>;
  socket(ticket: string): SocketLike;
  now(): number;
  random(): number;
  /** Run `step` after `ms`, and return a function that cancels it. */
  later(ms: number, step: () => void): () => void;
}

export type ConnectionState =
  | { readonly kind: "idle" }
  | { readonly kind: "connecting"; readonly attempt: number }
  | { readonly kind: "open" }
  | { readonly kind: "waiting"; readonly attempt: number; readonly until: number }
  | { readonly kind: "refused"; readonly status: number; readonly message: string };

export interface Subscription {
  /** Return the message to send, without type and id. */
  request(): Record<string, unknown>;
  /** Receive the answer, which may be an error. */
  answer(message: ToViewer & { type: "subscribed" | "error" }): void;
}

const RECONNECT: RetryPolicy = { firstMs: 250, maxMs: 30_000 };
/** While the old connection works, a successor that could not be opened is tried again after about a minute. */
const RENEW_RETRY: RetryPolicy = { firstMs: 60_000, maxMs: 60_000 };
const RENEW_RETRY_MIN_MS = 30_000;
const PING_MS = 30_000;
const PONG_MS = 10_000;
/** A connection that lasted this long was good: the next reconnect starts with the shortest wait. */
const STABLE_MS = 10_000;
const HANDSHAKE_MS = 10_000;
/**
 * API Gateway closes every WebSocket after two hours (WebSocket quotas). Up to 5 minutes of jitter keep an audience
 * apart.
 */
const RENEW_MS = 110 * 60_000;
const RENEW_JITTER_MS = 5 * 60_000;

interface Link {
  readonly socket: SocketLike;
  readonly timers: Map<string, () => void>;
  readonly pending: Map<string, Subscription>;
  open: boolean;
  since: number;
}

export class Connection {
  state: ConnectionState = { kind: "idle" };
  /** Number of connections that were opened. */
  opened = 0;
  private current: Link | null = null;
  private successor: Link | null = null;
  private wait: (() => void) | null = null;
  private attempt = 0;
  /** Failures since the last connection that lasted. */
  private failures = 0;
  private sequence = 0;
  private starting = false;
  private readonly subscriptions = new Map<string, Subscription>();

  constructor(
    private readonly deps: ConnectionDeps,
    private readonly report: (state: ConnectionState) => void,
    private readonly deliver: (message: ToViewer) => void,
    private readonly malformed: (error: unknown) => void = () => undefined,
  ) {}

  /** Subscribe under the caller's name, and again after every reconnect until `unsubscribe`. */
  subscribe(name: string, subscription: Subscription): void {
    this.subscriptions.set(name, subscription);
    if (this.current?.open) this.ask(this.current, subscription);
    else this.start();
  }

  unsubscribe(name: string, request: Record<string, unknown>): void {
    if (!this.subscriptions.delete(name)) return;
    if (this.current?.open) this.send(this.current, { type: "unsubscribe", id: this.id(), ...request });
  }

  /** Send one subscription again, after the cloud asked for a retry. */
  renew(name: string): void {
    const subscription = this.subscriptions.get(name);
    if (subscription && this.current?.open) this.ask(this.current, subscription);
  }

  start(): void {
    if (this.current || this.wait || this.starting) return;
    void this.connect();
  }

  /** Reconnect without further waiting: the network is back, or the page is visible again. */
  wake(): void {
    if (this.state.kind !== "waiting") {
      if (this.current?.open) this.ping(this.current);
      return;
    }
    this.wait?.();
    this.wait = null;
    void this.connect();
  }

  /** Use a new key or token: forget the refusal. */
  reset(): void {
    this.stop();
    this.attempt = 0;
    if (this.subscriptions.size > 0) this.start();
  }

  stop(): void {
    this.wait?.();
    this.wait = null;
    for (const link of [this.current, this.successor]) if (link) this.drop(link);
    this.current = this.successor = null;
    this.become({ kind: "idle" });
  }

  /** Close the socket as a broken network would, for tests. */
  cut(): void {
    this.current?.socket.close();
  }

  /** Open a replacement for a working connection, subscribe on it, and only then close the old one. */
  async replace(): Promise<void> {
    const old = this.current;
    if (!old?.open || this.successor) return;
    let ticket: string;
    try {
      ticket = await this.deps.ticket();
    } catch {
      this.renewLater(old);
      return;
    }
    if (this.current !== old) return;
    this.successor = this.link(ticket, (link) => {
      this.successor = null;
      this.current = link;
      this.report(this.state);
      for (const subscription of this.subscriptions.values()) this.ask(link, subscription);
      // Both deliver for a moment. Sequences make that harmless, and nothing is lost in between.
      this.timer(link, "handover", 5_000, () => this.drop(old));
    });
  }

  private async connect(): Promise<void> {
    this.attempt++;
    this.starting = true;
    this.become({ kind: "connecting", attempt: this.attempt });
    let ticket: string;
    try {
      ticket = await this.deps.ticket();
    } catch (error) {
      this.starting = false;
      if (error instanceof Refusal) {
        this.become({ kind: "refused", status: error.status, message: error.message });
      } else if (this.state.kind === "connecting") this.retry();
      return;
    }
    this.starting = false;
    if (this.state.kind !== "connecting") return;
    this.current = this.link(ticket, (link) => {
      this.become({ kind: "open" });
      for (const subscription of this.subscriptions.values()) this.ask(link, subscription);
    });
  }

  private link(ticket: string, ready: (link: Link) => void): Link {
    const socket = this.deps.socket(ticket);
    const link: Link = { socket, timers: new Map(), pending: new Map(), open: false, since: this.deps.now() };
    socket.onopen = () => {
      link.open = true;
      link.since = this.deps.now();
      link.timers.get("handshake")?.();
      this.opened++;
      this.timer(link, "ping", PING_MS, () => this.ping(link));
      this.timer(link, "renew", RENEW_MS + this.deps.random() * RENEW_JITTER_MS, () => void this.replace());
      ready(link);
    };
    socket.onmessage = (event) => this.receive(link, event.data);
    socket.onclose = () => this.closed(link);
    this.timer(link, "handshake", HANDSHAKE_MS, () => this.lost(link));
    return link;
  }

  private receive(link: Link, data: unknown): void {
    // Any message shows that the connection works.
    link.timers.get("pong")?.();
    let message: ToViewer;
    try {
      message = decodeMessage(typeof data === "string" ? data : "");
    } catch (error) {
      this.malformed(error);
      return;
    }
    if ((message.type === "subscribed" || message.type === "error") && message.id !== null) {
      const subscription = link.pending.get(message.id);
      link.pending.delete(message.id);
      // An error of one subscription must not affect the others.
      tryOr(() => subscription?.answer(message), undefined);
    }
    this.deliver(message);
    if (message.type === "expired" && message.job === null) this.lost(link);
  }

  private ping(link: Link): void {
    this.timer(link, "pong", PONG_MS, () => this.lost(link));
    this.timer(link, "ping", PING_MS, () => this.ping(link));
    this.send(link, { type: "ping", id: this.id() });
  }

  private ask(link: Link, subscription: Subscription): void {
    const id = this.id();
    link.pending.set(id, subscription);
    this.send(link, { type: "subscribe", id, ...subscription.request() });
    // A crashed function's answer does not name the request: ask again.
    this.timer(link, `answer ${id}`, PONG_MS, () => {
      if (link.pending.delete(id)) this.ask(link, subscription);
    });
  }

  private send(link: Link, message: Record<string, unknown>): void {
    try {
      link.socket.send(JSON.stringify(message));
    } catch {
      this.lost(link);
    }
  }

  /** Give up a connection that did not report its end. */
  private lost(link: Link): void {
    this.drop(link);
    this.closed(link);
  }

  private drop(link: Link): void {
    link.socket.onopen = link.socket.onclose = link.socket.onmessage = null;
    for (const cancel of link.timers.values()) cancel();
    link.timers.clear();
    link.socket.close();
  }

  private closed(link: Link): void {
    for (const cancel of link.timers.values()) cancel();
    link.timers.clear();
    if (link === this.successor) {
      this.successor = null;
      // The old one still works: try again before it ends.
      const old = this.current;
      if (old) this.renewLater(old);
      return;
    }
    if (link !== this.current) return;
    this.current = null;
    if (link.open && this.deps.now() - link.since >= STABLE_MS) {
      this.attempt = 0;
      this.failures = 0;
    }
    this.retry();
  }

  private renewLater(link: Link): void {
    const delay = retryDelay(RENEW_RETRY, 0, RENEW_RETRY_MIN_MS, this.deps.random);
    this.timer(link, "renew", delay, () => void this.replace());
  }

  private retry(): void {
    if (this.state.kind === "idle" || this.state.kind === "refused") return;
    const delay = retryDelay(RECONNECT, this.failures++, 0, this.deps.random);
    this.become({ kind: "waiting", attempt: this.attempt, until: this.deps.now() + delay });
    this.wait = this.deps.later(delay, () => {
      this.wait = null;
      void this.connect();
    });
  }

  private timer(link: Link, name: string, ms: number, step: () => void): void {
    link.timers.get(name)?.();
    const cancel = this.deps.later(ms, () => {
      link.timers.delete(name);
      step();
    });
    link.timers.set(name, () => {
      cancel();
      link.timers.delete(name);
    });
  }

  private become(state: ConnectionState): void {
    this.state = state;
    this.report(state);
  }

  private id(): string {
    return `v${++this.sequence}`;
  }
}
