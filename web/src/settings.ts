/**
 * A reader's settings, kept in this browser and applied to the page. Every stored value is checked, because anybody can
 * change storage.
 */
import { effect, type Signal, signal } from "@preact/signals";
import { TIME_MODES, type TimeMode } from "./text/time";

export const THEMES = ["auto", "light", "dark"] as const;
export type ThemeChoice = (typeof THEMES)[number];
export const DENSITIES = ["dense", "normal", "wide"] as const;
export type Density = (typeof DENSITIES)[number];
export const FONT_SIZES = { least: 11, most: 18, usual: 13 } as const;

const STORAGE_KEY = "logferry.settings";

export const settings = {
  timeMode: signal<TimeMode>("local"),
  wrap: signal(true),
  theme: signal<ThemeChoice>("auto"),
  density: signal<Density>("normal"),
  /** CSS pixels. */
  fontSize: signal<number>(FONT_SIZES.usual),
};
export const { timeMode, wrap, theme, density, fontSize } = settings;

/** Restore stored settings, then store and apply every change. Returns a function that stops it. */
export function apply(root: HTMLElement = document.documentElement): () => void {
  restore();
  const ends = [
    effect(() => {
      if (settings.theme.value === "auto") delete root.dataset["theme"];
      else root.dataset["theme"] = settings.theme.value;
      root.dataset["density"] = settings.density.value;
      root.style.setProperty("--log-size", `${settings.fontSize.value}px`);
    }),
    effect(() => {
      const kept = Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, setting.value]));
      try {
        localStorage.setItem(STORAGE_KEY, JSON.stringify(kept));
      } catch {
        // Storage may be full or forbidden: the choice then lasts as long as the page.
      }
    }),
  ];
  // A change in another tab applies here too.
  const changed = (event: StorageEvent): void => {
    if (event.key === STORAGE_KEY) restore();
  };
  addEventListener("storage", changed);
  return () => {
    for (const end of ends) end();
    removeEventListener("storage", changed);
  };
}

/** Switch a setting to its next value, in a cycle, for a key. */
export function cycle<T>(setting: Signal<T>, values: readonly T[]): void {
  setting.value = values[(values.indexOf(setting.value) + 1) % values.length] as T;
}

export function resize(by: number): void {
  settings.fontSize.value = Math.max(FONT_SIZES.least, Math.min(FONT_SIZES.most, settings.fontSize.value + by));
}

function restore(): void {
  let kept: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}");
    if (typeof parsed === "object" && parsed !== null) kept = parsed as Record<string, unknown>;
  } catch {
    // Ignore what cannot be parsed.
  }
  restoreValue(settings.timeMode, TIME_MODES, kept["timeMode"]);
  restoreValue(settings.wrap, [true, false], kept["wrap"]);
  restoreValue(settings.theme, THEMES, kept["theme"]);
  restoreValue(settings.density, DENSITIES, kept["density"]);
  const size = kept["fontSize"];
  if (typeof size === "number" && Number.isInteger(size) && size >= FONT_SIZES.least && size <= FONT_SIZES.most)
    settings.fontSize.value = size;
}

function restoreValue<T>(setting: Signal<T>, values: readonly T[], kept: unknown): void {
  const found = values.find((value) => value === kept);
  if (found !== undefined) setting.value = found;
}
