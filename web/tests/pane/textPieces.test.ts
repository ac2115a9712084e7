import { expect, test } from "vitest";
import { textPieces } from "../../src/pane/textPieces";
import { fc } from "../support/check";

test("a long text is split into short pieces and stays the same text", () => {
  const part = fc.string({ unit: fc.constantFrom("a", " ", "\u0301", "\u0628", "\u{1f600}", "\ud83d"), maxLength: 12 });
  fc.assert(
    fc.property(part, fc.integer({ min: 1, max: 400 }), (unit, times) => {
      const text = unit.repeat(times);
      const pieces = textPieces(text);
      expect(pieces.join("")).toBe(text);
      if (text.length > 1_000 && /[^\0-\u02ff]/.test(text))
        for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(500);
      // No surrogate pair is split.
      for (const [at, piece] of pieces.entries())
        expect(/[\ud800-\udbff]$/.test(piece) && /^[\udc00-\udfff]/.test(pieces[at + 1] ?? "")).toBe(false);
    }),
  );
  expect(textPieces("\u0301".repeat(64_000))).toHaveLength(128);
  expect(textPieces("x".repeat(64_000))).toHaveLength(1);
  expect(textPieces(`${"\u0628".repeat(300)} `.repeat(4))[0]).toHaveLength(301);
});
