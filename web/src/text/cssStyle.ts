/**
 * A terminal style as CSS, in both themes at once: `light-dark()` selects by the page's colour scheme, so a theme
 * change redraws nothing. Text stays readable whatever a program chose (black on black, the page's own background).
 */

import { ANSI, INK, type Rgb, SURFACES, type Theme, xterm } from "./ansiColors";
import { mix, readable } from "./contrast";
import { BOLD, type Colour, DIM, ITALIC, RGB, STRIKE, type Style, UNDERLINE } from "./terminal";

export interface CssStyle {
  /** CSS colours; absent means the row's own. */
  readonly color?: string;
  readonly background?: string;
  /** Names for `classList`: `bold`, `italic`, `underline`, `strike`. */
  readonly classes: readonly string[];
}

/** Programs use a handful of styles; one that prints rainbows must not fill the memory. */
const MAX_CACHED = 4_096;
const cache = new Map<string, CssStyle>();

export function cssStyle(style: Style): CssStyle {
  const key = `${style.fg},${style.bg},${style.flags},${style.inverse}`;
  let found = cache.get(key);
  if (found === undefined) {
    if (cache.size >= MAX_CACHED) cache.clear();
    found = createStyle(style);
    cache.set(key, found);
  }
  return found;
}

function createStyle({ fg, bg, flags, inverse }: Style): CssStyle {
  const classes: string[] = [];
  for (const [flag, name] of NAMES) if (flags & flag) classes.push(name);
  const faint = (flags & DIM) !== 0;
  // Opacity would make barely readable text unreadable: the colour itself moves towards the background, as far as it
  // may.
  const fade = (ink: Rgb, ground: Rgb): Rgb => (faint ? mix(ink, ground, FADE) : ink);
  if (!inverse && bg === null) {
    if (fg === null && !faint) return { classes };
    if (fg !== null && fg < 16 && !faint) return { color: `var(--ansi-${fg})`, classes };
    const ink = (theme: Theme): Rgb => fade(fg === null ? INK[theme] : rgbOf(fg, theme), SURFACES[theme][0] as Rgb);
    return { color: lightDark((theme) => readable(ink(theme), SURFACES[theme])), classes };
  }
  const on = (theme: Theme): { ink: Rgb; ground: Rgb } => {
    const ink = fg === null ? INK[theme] : rgbOf(fg, theme);
    const ground = bg === null ? (SURFACES[theme][0] as Rgb) : rgbOf(bg, theme);
    return inverse ? { ink: ground, ground: ink } : { ink, ground };
  };
  return {
    color: lightDark((theme) => readable(fade(on(theme).ink, on(theme).ground), [on(theme).ground])),
    background: lightDark((theme) => on(theme).ground),
    classes,
  };
}

const FADE = 0.35;
const NAMES: readonly (readonly [flag: number, name: string])[] = [
  [BOLD, "bold"],
  [ITALIC, "italic"],
  [UNDERLINE, "underline"],
  [STRIKE, "strike"],
];

function rgbOf(colour: Colour, theme: Theme): Rgb {
  if (colour >= RGB) return colour - RGB;
  return colour < 16 ? (ANSI[theme][colour] as Rgb) : xterm(colour);
}

function lightDark(colour: (theme: Theme) => Rgb): string {
  return `light-dark(${hex(colour("light"))}, ${hex(colour("dark"))})`;
}

export function hex(colour: Rgb): string {
  return `#${colour.toString(16).padStart(6, "0")}`;
}
