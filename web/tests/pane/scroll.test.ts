import { describe, expect, test } from "vitest";
import {
  CLUSTER,
  covers,
  indexAt,
  MAX_HEIGHT,
  missingRange,
  positionOf,
  spacerHeight,
  windowAround,
} from "../../src/pane/scroll";
import { fc } from "../support/check";

const shape = fc.record({
  total: fc.integer({ min: 1, max: 20_000_000 }),
  rowHeight: fc.integer({ min: 14, max: 40 }),
  viewport: fc.integer({ min: 100, max: 2_000 }),
});

describe("scroll arithmetic", () => {
  test("a scroll bar never needs an element higher than browsers allow at a device pixel ratio of 2", () => {
    expect(spacerHeight(20_000_000, 40)).toBe(MAX_HEIGHT);
    expect(MAX_HEIGHT).toBeLessThan(16_777_214 / 2 + 1);
  });

  test("the ends of the scroll bar are the ends of the list", () => {
    fc.assert(
      fc.property(shape, ({ total, rowHeight, viewport }) => {
        const most = spacerHeight(total, rowHeight) - viewport;
        expect(indexAt(0, total, rowHeight, viewport)).toBe(0);
        if (most <= 0) return;
        const last = indexAt(most, total, rowHeight, viewport);
        expect(last + Math.floor(viewport / rowHeight)).toBeGreaterThanOrEqual(total);
        expect(last).toBeLessThan(total);
      }),
    );
  });

  test("the position of an index maps back to it, within a row below the cap", () => {
    fc.assert(
      fc.property(shape, fc.double({ min: 0, max: 1, noNaN: true }), ({ rowHeight, viewport }, share) => {
        const total = Math.floor(MAX_HEIGHT / rowHeight) - 1;
        const place = Math.floor(share * (total - Math.ceil(viewport / rowHeight)));
        const found = indexAt(positionOf(place, total, rowHeight), total, rowHeight, viewport);
        expect(Math.abs(found - place)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("a window covers its centre and stays within the list", () => {
    fc.assert(
      fc.property(shape, fc.double({ min: 0, max: 1, noNaN: true }), ({ total, rowHeight, viewport }, share) => {
        const visible = Math.ceil(viewport / rowHeight);
        const place = Math.min(total - 1, Math.floor(share * total));
        const window = windowAround(place, visible, total);
        expect(window.from).toBeGreaterThanOrEqual(0);
        expect(window.to).toBeLessThanOrEqual(total);
        expect(window.from).toBeLessThanOrEqual(place);
        expect(window.to).toBeGreaterThan(place);
        expect(covers(window, place, Math.min(total - 1, place + visible), total, visible)).toBe(true);
      }),
    );
  });

  test("requested and drawn rows make up the window, and no drawn end is requested again", () => {
    const range = fc
      .tuple(fc.nat(400), fc.integer({ min: 1, max: 200 }))
      .map(([from, length]) => ({ from, to: from + length }));
    fc.assert(
      fc.property(range, range, (wanted, drawn) => {
        const part = missingRange(wanted, drawn);
        const has = (place: number): boolean =>
          (place >= drawn.from && place < drawn.to) || (place >= part.from && place < part.to);
        for (let place = wanted.from; place < wanted.to; place++) expect(has(place)).toBe(true);
        expect(part.from).toBeGreaterThanOrEqual(wanted.from);
        expect(part.to).toBeLessThanOrEqual(wanted.to);
        const overlaps = part.from < drawn.to && drawn.from < part.to;
        const oneEnd =
          drawn.from <= wanted.from !== drawn.to >= wanted.to && drawn.to > wanted.from && drawn.from < wanted.to;
        if (oneEnd) expect(overlaps).toBe(false);
      }),
    );
  });

  test("a reader who moves by a cluster requests a cluster, not a window", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 100_000 }), fc.integer({ min: 20, max: 120 }), (place, visible) => {
        const before = windowAround(place, visible, 1_000_000);
        const after = windowAround(place + CLUSTER, visible, 1_000_000);
        const { from, to } = missingRange(after, before);
        expect(to - from).toBe(CLUSTER);
      }),
    );
  });
});
