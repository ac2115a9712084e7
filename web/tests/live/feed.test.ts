import { describe, expect, test } from "vitest";
import { Feed, HOLE_JITTER_MS, HOLE_MIN_MS } from "../../src/live/feed";
import { fc } from "../support/check";

const half = (): number => 0.5;

describe("Feed", () => {
  test("requests nothing before anything is wanted", () => {
    const feed = new Feed(half);
    feed.announced(100, 0);
    expect(feed.due(1e9)).toBeNull();
  });

  test("requests history at once when a person wants it", () => {
    const feed = new Feed(half);
    feed.announced(100, 5, true);
    feed.want(1, 5);
    expect(feed.due(5)).toEqual({ first: 1, last: 100 });
  });

  test("waits a jittered time for a batch that is only late", () => {
    const feed = new Feed(half);
    feed.announced(10, 0, true);
    feed.want(1, 0);
    feed.received(1, 10, 0);
    feed.received(21, 10, 1_000);
    expect(feed.due(1_000)).toBeNull();
    const due = 1_000 + HOLE_MIN_MS + HOLE_JITTER_MS / 2;
    expect(feed.next()).toBe(due);
    expect(feed.due(due)).toEqual({ first: 11, last: 20 });
    feed.received(11, 10, due);
    expect(feed.whole).toBe(true);
  });

  test("keeps a hole's wait when the hole is seen again", () => {
    const feed = new Feed(half);
    feed.announced(10, 0, true);
    feed.want(1, 0);
    feed.received(1, 10, 0);
    feed.received(21, 10, 1_000);
    feed.received(31, 10, 1_600);
    expect(feed.due(1_000 + HOLE_MIN_MS + HOLE_JITTER_MS / 2)).toEqual({ first: 11, last: 20 });
  });

  test("takes an answer without news as 'not yet' and retries with growing waits", () => {
    const feed = new Feed(half);
    feed.announced(20, 0, true);
    feed.want(1, 0);
    const hole = { first: 1, last: 20 };
    feed.asked(hole, false, 0);
    const first = feed.next() as number;
    expect(first).toBeGreaterThan(0);
    feed.asked(hole, false, first);
    expect((feed.next() as number) - first).toBeGreaterThan(first);
  });

  test("continues at once with the rest of a partly filled hole", () => {
    const feed = new Feed(half);
    feed.announced(20, 0, true);
    feed.want(1, 0);
    feed.received(11, 10, 0);
    feed.asked({ first: 1, last: 20 }, true, 0);
    expect(feed.due(0)).toEqual({ first: 1, last: 10 });
  });

  test("no longer requests what was deleted by age", () => {
    const feed = new Feed(half);
    feed.announced(20, 0, true);
    feed.want(1, 0);
    feed.received(11, 10, 0);
    feed.forgotten(1, 10, 0);
    expect(feed.whole).toBe(true);
  });

  test("detects a lost last broadcast by the tip of a pong", () => {
    const feed = new Feed(half);
    feed.announced(10, 0, true);
    feed.want(1, 0);
    feed.received(1, 10, 0);
    feed.announced(12, 30_000);
    expect(feed.due(30_000 + HOLE_MIN_MS + HOLE_JITTER_MS)).toEqual({ first: 11, last: 12 });
  });

  test("ends with every sequence exactly once, whatever was lost, repeated, reordered or late", () => {
    const world = fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 25 }),
      subscribedAt: fc.nat({ max: 25 }),
      fates: fc.infiniteStream(fc.integer({ min: 0, max: 5 })),
      random: fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      page: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(world, ({ sizes, subscribedAt, fates, random, page }) => {
        const chance = (): number => random.next().value as number;
        const fate = (): number => fates.next().value as number;
        const batches: { first: number; count: number }[] = [];
        for (const count of sizes)
          batches.push({ first: (batches.at(-1)?.first ?? 1) + (batches.at(-1)?.count ?? 0), count });
        const total = batches.reduce((sum, { count }) => sum + count, 0);
        const feed = new Feed(chance);
        let now = 0;
        let stored = Math.min(subscribedAt, batches.length);
        const late: { first: number; count: number }[] = [];
        const tip = (): number => batches.slice(0, stored).reduce((sum, { count }) => sum + count, 0);
        feed.announced(tip(), now, true);
        feed.want(1, now);
        const fetchDue = (): void => {
          const due = feed.due(now);
          if (due === null) return;
          const before = feed.held.count;
          // A page holds the last batches with entries before the hole's end; sometimes none yet.
          const known = batches.slice(0, stored).filter(({ first }) => first <= due.last);
          if (fate() > 0) for (const batch of known.slice(-page)) feed.received(batch.first, batch.count, now);
          feed.asked(due, feed.held.count > before, now);
        };
        while (stored < batches.length) {
          const batch = batches[stored++] as { first: number; count: number };
          const what = fate();
          if (what >= 2) feed.received(batch.first, batch.count, now);
          if (what === 3) feed.received(batch.first, batch.count, now);
          if (what === 1) late.push(batch);
          if (what === 4) for (const old of late.splice(0)) feed.received(old.first, old.count, now);
          now += 100;
          fetchDue();
        }
        feed.announced(total, now);
        for (let step = 0; step < 2_000 && !feed.whole; step++) {
          now = Math.max(now + 1, feed.next() ?? now);
          fetchDue();
        }
        expect(feed.held.all).toEqual([{ first: 1, last: total }]);
      }),
    );
  });
});
