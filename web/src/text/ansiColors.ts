/**
 * The colours of log text in both themes. theme.css has the same values; a test compares the two and checks every
 * colour against WCAG 2.2 AA (4.5:1) on its possible backgrounds.
 */

export type Theme = "light" | "dark";
export type Rgb = number;

/** Backgrounds of rows: the pane, a hovered row, a marked row, a row of stderr (7 % of its colour, as in style.css). */
export const SURFACES: { readonly [T in Theme]: readonly Rgb[] } = {
  light: [0xffffff, 0xf3f5f8, 0xe8eefb, 0xf9eeef],
  dark: [0x0f1318, 0x181d24, 0x1b2a42, 0x201c21],
};

/** Text without a colour of its own. */
export const INK: { readonly [T in Theme]: Rgb } = { light: 0x1c2128, dark: 0xd7dde4 };

/**
 * Black, red, green, yellow, blue, magenta, cyan, white; then the bright ones. They keep the hue, not the lightness:
 * each must be readable.
 */
export const ANSI: { readonly [T in Theme]: readonly Rgb[] } = {
  light: [
    0x1c2128, 0xb3202c, 0x1a6e2e, 0x7d5500, 0x0b56c4, 0x8a2fa8, 0x0a6472, 0x59626e, 0x515b67, 0xc0203a, 0x1b6f1b,
    0x855200, 0x2257d6, 0x9b27a3, 0x046580, 0x3a424c,
  ],
  dark: [
    0x98a3b1, 0xff7b7b, 0x5cc872, 0xd9b04a, 0x74aefc, 0xd993f2, 0x4cc7d4, 0xc4ccd6, 0xa3aebb, 0xff9a98, 0x84e08f,
    0xf0cc6c, 0x9cc6ff, 0xe6b3fa, 0x7fe0ea, 0xf4f7fa,
  ],
};

/** Return one of xterm's colours 16 to 255: a 6x6x6 cube, then 24 greys. */
export function xterm(index: number): Rgb {
  if (index >= 232) return grey(8 + (index - 232) * 10);
  const cube = index - 16;
  const level = (part: number): number => (part === 0 ? 0 : 55 + part * 40);
  return (level(Math.floor(cube / 36)) << 16) | (level(Math.floor(cube / 6) % 6) << 8) | level(cube % 6);
}

function grey(value: number): Rgb {
  return (value << 16) | (value << 8) | value;
}
