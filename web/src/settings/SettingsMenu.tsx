/** The menu of all settings. It uses the browser's own controls, which keyboards and screen readers know. */
import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { DENSITIES, FONT_SIZES, resize, settings, THEMES } from "../settings";
import { TIME_MODES } from "../text/time";
import { Icon } from "../ui/Icon";
import "./settings.css";

export const TIME_NAMES: { readonly [mode in (typeof TIME_MODES)[number]]: string } = {
  local: "Local",
  utc: "UTC",
  relative: "Since the start",
  hidden: "Hidden",
};

export function SettingsMenu() {
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event): void => {
      const element = menu.current;
      if (element?.open !== true) return;
      if (event instanceof KeyboardEvent) {
        if (event.key !== "Escape") return;
        element.querySelector("summary")?.focus();
      } else if (event.target instanceof Node && element.contains(event.target)) return;
      element.open = false;
    };
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, []);
  const size = settings.fontSize.value;
  return (
    <details class="settings" ref={menu}>
      <summary class="button square" aria-label="Settings" title="Settings">
        <Icon name="settings" />
      </summary>
      <div class="settings-menu" role="group" aria-label="Settings">
        <Choice name="Time" setting={settings.timeMode} values={TIME_MODES} titles={TIME_NAMES} />
        <Choice name="Theme" setting={settings.theme} values={THEMES} />
        <Choice name="Rows" setting={settings.density} values={DENSITIES} />
        <label class="settings-row">
          <span>Wrap long lines</span>
          <input
            type="checkbox"
            checked={settings.wrap.value}
            onChange={(event) => {
              settings.wrap.value = event.currentTarget.checked;
            }}
          />
        </label>
        <div class="settings-row" role="group" aria-label="Font size">
          <span>Font size</span>
          <span class="settings-size">
            <button
              type="button"
              class="button"
              aria-label="Smaller"
              disabled={size <= FONT_SIZES.least}
              onClick={() => resize(-1)}
            >
              −
            </button>
            <output>{size}</output>
            <button
              type="button"
              class="button"
              aria-label="Larger"
              disabled={size >= FONT_SIZES.most}
              onClick={() => resize(1)}
            >
              +
            </button>
          </span>
        </div>
      </div>
    </details>
  );
}

function Choice<T extends string>({
  name,
  setting,
  values,
  titles,
}: {
  name: string;
  setting: Signal<T>;
  values: readonly T[];
  titles?: { readonly [value in T]: string };
}) {
  return (
    <label class="settings-row">
      <span>{name}</span>
      <select
        class="field"
        value={setting.value}
        onChange={(event) => {
          setting.value = event.currentTarget.value as T;
        }}
      >
        {values.map((value) => (
          <option key={value} value={value}>
            {titles?.[value] ?? value[0]?.toUpperCase() + value.slice(1)}
          </option>
        ))}
      </select>
    </label>
  );
}
