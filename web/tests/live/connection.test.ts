import { describe, expect, test, vi } from "vitest";
import { Connection, type ConnectionState, type SocketLike } from "../../src/live/connection";
import type { ToViewer } from "../../src/wire/messages";
import { Refusal } from "../../src/wire/refusal";

/** A manual clock, with fake tickets and sockets. */
class World {
  time = 0;
  sockets: FakeSocket[] = [];
  states: ConnectionState["kind"][] = [];
  messages: ToViewer[] = [];
  tickets = 0;
  refuse: Error | null = null;
  private timers: { at: number; step: () => void }[] = [];
  readonly connection = new Connection(
    {
      now: () => this.time,
      random: () => 0.5,
      later: (ms, step) => {
        const timer = { at: this.time + ms, step };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((other) => other !== timer);
        };
      },
      ticket: () => (this.refuse ? Promise.reject(this.refuse) : Promise.resolve(`t${++this.tickets}`)),
      socket: (ticket) => {
        const socket = new FakeSocket(ticket);
        this.sockets.push(socket);
        return socket;
      },
    },
    (state) => this.states.at(-1) === state.kind || this.states.push(state.kind),
    (message) => this.messages.push(message),
  );

  get socket(): FakeSocket {
    return this.sockets.at(-1) as FakeSocket;
  }

  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      await settled();
      const next = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.time = Math.max(this.time, next.at);
      next.step();
    }
    this.time = end;
    await settled();
  }
}

class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  sent: { type: string; id: string; job?: string; after?: number }[] = [];
  closed = false;
  /** Answer pings and subscriptions as a healthy cloud does. */
  healthy = false;
  constructor(readonly ticket: string) {}
  send(text: string): void {
    const message = JSON.parse(text) as (typeof this.sent)[number];
    this.sent.push(message);
    if (this.healthy && message.type === "ping") this.say({ type: "pong", id: message.id, tips: {} });
    if (this.healthy && message.type === "subscribe")
      this.say({ type: "subscribed", id: message.id, job: JOB, tip: 0 });
  }
  close(): void {
    this.closed = true;
    this.onclose?.();
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  of(type: string): (typeof this.sent)[number][] {
    return this.sent.filter((message) => message.type === type);
  }
}

const JOB = `local.${"a".repeat(64)}`;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function subscription(job: string) {
  const answers: ToViewer[] = [];
  return {
    answers,
    request: () => ({ job, after: answers.length }),
    answer: (message: ToViewer) => void answers.push(message),
  };
}

describe("Connection", () => {
  test("requests a ticket, connects, and subscribes", async () => {
    const world = new World();
    const wanted = subscription("a");
    world.connection.subscribe("a", wanted);
    await settled();
    expect(world.socket.ticket).toBe("t1");
    world.socket.onopen?.();
    const [sent] = world.socket.of("subscribe");
    expect(sent).toMatchObject({ job: "a", after: 0 });
    world.socket.say({ type: "subscribed", id: sent?.id, job: JOB, tip: 7 });
    expect(wanted.answers).toMatchObject([{ type: "subscribed", tip: 7 }]);
    expect(world.states).toEqual(["connecting", "open"]);
  });

  test("survives an unreadable message, and routes each answer to its subscription", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const world = new World();
    const [broken, other] = [subscription("a"), subscription("b")];
    world.connection.subscribe("a", {
      ...broken,
      answer: () => {
        throw new Error("this job's alone");
      },
    });
    world.connection.subscribe("b", other);
    await settled();
    world.socket.onopen?.();
    const [first, second] = world.socket.of("subscribe");
    world.socket.say({ type: "subscribed", id: first?.id, job: JOB, tip: 7 });
    world.socket.say({ type: "subscribed", id: second?.id, job: JOB, tip: 8 });
    expect(other.answers).toMatchObject([{ tip: 8 }]);
    expect(world.messages).toHaveLength(2);
    expect(said).toHaveBeenCalledOnce();
    for (let pings = 0; pings < 4; pings++) {
      await world.pass(30_000);
      world.socket.say({ type: "pong", id: "p", tips: { [JOB]: "many" } });
    }
    expect([world.sockets.length, world.states.at(-1)]).toEqual([1, "open"]);
    said.mockRestore();
  });

  test("reconnects with a new ticket after a cut, and subscribes again", async () => {
    const world = new World();
    world.connection.subscribe("a", subscription("a"));
    await settled();
    world.socket.onopen?.();
    world.socket.onclose?.();
    expect(world.states.at(-1)).toBe("waiting");
    await world.pass(5_000);
    expect(world.sockets).toHaveLength(2);
    expect(world.socket.ticket).toBe("t2");
    world.socket.onopen?.();
    expect(world.socket.of("subscribe")).toHaveLength(1);
  });

  test("waits longer after each failure, up to 30 seconds", async () => {
    const world = new World();
    world.refuse = new Error("no network");
    world.connection.subscribe("a", subscription("a"));
    const waits: number[] = [];
    for (let turn = 0; turn < 12; turn++) {
      await settled();
      const { state } = world.connection;
      expect(state.kind).toBe("waiting");
      if (state.kind !== "waiting") return;
      waits.push(state.until - world.time);
      await world.pass(state.until - world.time);
    }
    expect(waits[0]).toBe(125);
    expect(Math.max(...waits)).toBe(15_000);
    expect([...waits].sort((a, b) => a - b)).toEqual(waits);
  });

  test("stops at a refusal, and continues with another key", async () => {
    const world = new World();
    world.refuse = new Refusal(403, "revoked");
    world.connection.subscribe("a", subscription("a"));
    await world.pass(120_000);
    expect(world.connection.state).toEqual({ kind: "refused", status: 403, message: "revoked" });
    expect(world.sockets).toHaveLength(0);
    world.refuse = null;
    world.connection.reset();
    await settled();
    expect(world.sockets).toHaveLength(1);
  });

  test("pings every 30 seconds and gives up a silent connection", async () => {
    const world = new World();
    world.connection.subscribe("a", subscription("a"));
    await settled();
    world.socket.onopen?.();
    const [asked] = world.socket.of("subscribe");
    world.socket.say({ type: "subscribed", id: asked?.id, job: JOB, tip: 0 });
    await world.pass(30_000);
    const [ping] = world.socket.of("ping");
    world.socket.say({ type: "pong", id: ping?.id, tips: { a: 3 } });
    expect(world.messages.at(-1)).toMatchObject({ type: "pong", tips: { a: 3 } });
    const first = world.socket;
    await world.pass(30_000);
    expect(first.of("ping")).toHaveLength(2);
    await world.pass(10_000);
    expect(first.closed).toBe(true);
    await world.pass(1_000);
    expect(world.sockets).toHaveLength(2);
  });

  test("asks again when a subscription is not answered", async () => {
    const world = new World();
    world.connection.subscribe("a", subscription("a"));
    await settled();
    world.socket.onopen?.();
    await world.pass(10_000);
    expect(world.socket.of("subscribe")).toHaveLength(2);
  });

  test("opens the replacement before it closes the old connection", async () => {
    const world = new World();
    world.connection.subscribe("a", subscription("a"));
    await settled();
    const old = world.socket;
    old.onopen?.();
    await world.connection.replace();
    const next = world.socket;
    expect(next).not.toBe(old);
    expect(old.closed).toBe(false);
    next.onopen?.();
    expect(next.of("subscribe")).toHaveLength(1);
    old.say({ type: "pong", id: "late", tips: {} });
    expect(world.messages.at(-1)).toMatchObject({ type: "pong", id: "late" });
    await world.pass(5_000);
    expect(old.closed).toBe(true);
    expect(next.closed).toBe(false);
    expect(world.states).toEqual(["connecting", "open"]);
  });

  test("replaces a connection before API Gateway's two-hour limit", async () => {
    const world = new World();
    world.connection.subscribe("a", subscription("a"));
    await settled();
    const old = world.socket;
    old.healthy = true;
    old.onopen?.();
    for (let minute = 0; minute < 116 && world.sockets.length === 1; minute++) await world.pass(60_000);
    // The first replacement never opened: another is tried while the old connection continues.
    for (let minute = 0; minute < 3 && world.sockets.length === 1; minute++) await world.pass(60_000);
    for (let step = 0; step < 40 && world.sockets.length === 2; step++) await world.pass(2_000);
    expect(world.sockets).toHaveLength(3);
    expect(old.closed).toBe(false);
    world.socket.healthy = true;
    world.socket.onopen?.();
    await world.pass(6_000);
    expect(world.time).toBeLessThan(120 * 60_000);
    expect(old.closed).toBe(true);
    expect(world.states).toEqual(["connecting", "open"]);
  });

  test("ignores an unreadable message as an answer", async () => {
    const world = new World();
    world.connection.subscribe("a", subscription("a"));
    await settled();
    world.socket.onopen?.();
    world.socket.onmessage?.({ data: "not JSON" });
    world.socket.onmessage?.({ data: new ArrayBuffer(4) });
    world.socket.say({ message: "Internal server error", connectionId: "x", requestId: "y" });
    expect(world.messages).toMatchObject([{ type: "error", code: "internal" }]);
    expect(world.connection.state.kind).toBe("open");
  });
});
