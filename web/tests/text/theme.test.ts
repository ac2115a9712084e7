import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ANSI, INK, SURFACES } from "../../src/text/ansiColors";
import { AA, contrast, mix } from "../../src/text/contrast";
import { cssStyle, hex } from "../../src/text/cssStyle";
import { DIM, PLAIN, RGB } from "../../src/text/terminal";

const THEMES = ["light", "dark"] as const;
const css = readFileSync(new URL("../../src/theme.css", import.meta.url), "utf-8");
const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)/g)].map(
    ([, name = "", light = "", dark = ""]) => [
      name,
      { light: Number.parseInt(light, 16), dark: Number.parseInt(dark, 16) },
    ],
  ),
);
const token = (name: string, theme: "light" | "dark"): number => {
  const found = tokens.get(name);
  if (found === undefined) throw new Error(`theme.css has no --${name}`);
  return found[theme];
};

describe.each(THEMES)("the %s theme", (theme) => {
  it("has the same colours in CSS and in ansiColors", () => {
    expect(["paper", "raised", "select"].map((name) => token(name, theme))).toEqual(SURFACES[theme].slice(0, 3));
    expect(mix(token("paper", theme), token("stderr", theme), 0.07)).toBe(SURFACES[theme][3]);
    expect(token("ink", theme)).toBe(INK[theme]);
    expect(ANSI[theme].map((_, at) => token(`ansi-${at}`, theme))).toEqual(ANSI[theme]);
  });

  it.each([
    "ink",
    "muted",
    "accent",
    "red",
    "green",
    "amber",
    "stdout",
    "stderr",
    ...ANSI.light.map((_, at) => `ansi-${at}`),
  ])("--%s is readable on every surface (AA, 4.5:1)", (name) => {
    for (const surface of SURFACES[theme]) {
      expect([hex(surface), contrast(token(name, theme), surface) >= AA]).toEqual([hex(surface), true]);
    }
  });

  it("has readable buttons and a visible focus ring (3:1)", () => {
    expect(contrast(token("accent-ink", theme), token("accent", theme))).toBeGreaterThanOrEqual(AA);
    for (const surface of SURFACES[theme]) expect(contrast(token("focus", theme), surface)).toBeGreaterThanOrEqual(3);
  });
});

describe("any colours of a program", () => {
  const colours = [
    ...Array(256).keys(),
    RGB,
    RGB + 0xffffff,
    RGB + 0x0f1318,
    RGB + 0x7f7f7f,
    RGB + 0xff0000,
    RGB + 0x0000ff,
  ];
  const both = (value: string | undefined): readonly [number, number] | null => {
    const [, light, dark] = /^light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)$/.exec(value ?? "") ?? [];
    return light === undefined || dark === undefined ? null : [Number.parseInt(light, 16), Number.parseInt(dark, 16)];
  };

  it("are readable on the page in both themes", () => {
    for (const [fg, flags] of [
      ...colours.filter((colour) => colour >= 16).map((fg) => [fg, 0] as const),
      ...[null, ...colours].map((fg) => [fg, DIM] as const),
    ]) {
      const found = both(cssStyle({ ...PLAIN, fg, flags }).color);
      THEMES.forEach((theme, at) => {
        for (const surface of SURFACES[theme])
          expect([fg, contrast(found?.[at] ?? 0, surface) >= AA]).toEqual([fg, true]);
      });
    }
  });

  it("are fainter when faint", () => {
    const [light = 0, dark = 0] = both(cssStyle({ ...PLAIN, flags: DIM }).color) ?? [];
    expect(contrast(light, 0xffffff)).toBeLessThan(contrast(INK.light, 0xffffff));
    expect(contrast(dark, 0x0f1318)).toBeLessThan(contrast(INK.dark, 0x0f1318));
  });

  it("are readable on their own background, also inverted", () => {
    for (const bg of colours) {
      for (const fg of [null, 0, 1, 7, 15, bg, RGB + 0x808080]) {
        for (const inverse of [false, true]) {
          const { color, background } = cssStyle({ ...PLAIN, fg, bg, inverse });
          const [ink, ground] = [both(color), both(background)];
          for (const at of [0, 1])
            expect([fg, bg, inverse, contrast(ink?.[at] ?? 0, ground?.[at] ?? 0) >= AA]).toEqual([
              fg,
              bg,
              inverse,
              true,
            ]);
        }
      }
    }
  });
});
