import { describe, expect, test } from "vitest";
import { covers, MAX_HEIGHT, placeAt, positionOf, spacerHeight, windowAround } from "../../src/pane/scroll";
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

  test("both ends of the scroll bar mean both ends of the list", () => {
    fc.assert(
      fc.property(shape, ({ total, rowHeight, viewport }) => {
        const most = spacerHeight(total, rowHeight) - viewport;
        expect(placeAt(0, total, rowHeight, viewport)).toBe(0);
        if (most <= 0) return;
        const last = placeAt(most, total, rowHeight, viewport);
        expect(last + Math.floor(viewport / rowHeight)).toBeGreaterThanOrEqual(total);
        expect(last).toBeLessThan(total);
      }),
    );
  });

  test("a place's position means the same place again, within a row below the cap", () => {
    fc.assert(
      fc.property(shape, fc.double({ min: 0, max: 1, noNaN: true }), ({ rowHeight, viewport }, share) => {
        const total = Math.floor(MAX_HEIGHT / rowHeight) - 1;
        const place = Math.floor(share * (total - Math.ceil(viewport / rowHeight)));
        const found = placeAt(positionOf(place, total, rowHeight), total, rowHeight, viewport);
        expect(Math.abs(found - place)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("a window covers what it was asked around, and stays within the list", () => {
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
});
