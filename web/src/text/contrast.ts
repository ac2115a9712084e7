/** WCAG 2.2 contrast, and the nearest readable colour of the same hue. */
import type { Rgb } from "./ansiColors";

/** Success criterion 1.4.3, level AA, for text of normal size. */
export const AA = 4.5;

export function contrast(one: Rgb, other: Rgb): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** Relative luminance (WCAG 2.2, "relative luminance"). */
export function luminance(colour: Rgb): number {
  const part = (shift: number): number => {
    const value = ((colour >> shift) & 0xff) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0);
}

/** Return `colour`, moved towards white or black only as far as needed to be readable on all `surfaces`. */
export function readable(colour: Rgb, surfaces: readonly Rgb[]): Rgb {
  const least = (candidate: Rgb): number => Math.min(...surfaces.map((surface) => contrast(candidate, surface)));
  if (least(colour) >= AA) return colour;
  const target = least(0xffffff) >= least(0x000000) ? 0xffffff : 0x000000;
  // Ten halvings bring the share to a thousandth, finer than a colour's 256 steps.
  let [low, high] = [0, 1];
  for (let step = 0; step < 10; step++) {
    const middle = (low + high) / 2;
    if (least(mix(colour, target, middle)) >= AA) high = middle;
    else low = middle;
  }
  return mix(colour, target, high);
}

/** Return a mix of two colours; `share` 0 is the first, 1 the second. */
export function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const part = (shift: number): number => {
    const [a, b] = [(from >> shift) & 0xff, (to >> shift) & 0xff];
    return Math.round(a + (b - a) * share) << shift;
  };
  return part(16) | part(8) | part(0);
}
