// @vitest-environment happy-dom
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { apply, cycle, resize, settings, THEMES } from "../../src/settings";
import { SettingsMenu } from "../../src/settings/SettingsMenu";

let end: () => void = () => undefined;
const kept = (): Record<string, unknown> =>
  JSON.parse(localStorage.getItem("logferry.settings") ?? "{}") as Record<string, unknown>;

beforeEach(() => {
  localStorage.clear();
  settings.timeMode.value = "local";
  settings.wrap.value = true;
  settings.theme.value = "auto";
  settings.density.value = "normal";
  settings.fontSize.value = 13;
});
afterEach(() => end());

describe("settings", () => {
  it("are applied to the page and kept", () => {
    end = apply();
    settings.theme.value = "dark";
    settings.density.value = "dense";
    resize(+2);
    expect(document.documentElement.dataset).toMatchObject({ theme: "dark", density: "dense" });
    expect(document.documentElement.style.getPropertyValue("--log-size")).toBe("15px");
    expect(kept()).toEqual({ timeMode: "local", wrap: true, theme: "dark", density: "dense", fontSize: 15 });
    settings.theme.value = "auto";
    expect(document.documentElement.dataset["theme"]).toBeUndefined();
  });

  it("are restored, without values that are not valid", () => {
    localStorage.setItem(
      "logferry.settings",
      JSON.stringify({ timeMode: "utc", wrap: "perhaps", theme: "<script>", density: "wide", fontSize: 9000 }),
    );
    end = apply();
    expect(settings.timeMode.value).toBe("utc");
    expect(settings.wrap.value).toBe(true);
    expect(settings.theme.value).toBe("auto");
    expect(settings.density.value).toBe("wide");
    expect(settings.fontSize.value).toBe(13);
  });

  it.each(["", "null", "[]", "{", "7"])("keep their defaults when %j was stored", (text) => {
    localStorage.setItem("logferry.settings", text);
    end = apply();
    expect(settings.theme.value).toBe("auto");
  });

  it("cycle through their values, and sizes stop at their limits", () => {
    cycle(settings.theme, THEMES);
    expect(settings.theme.value).toBe("light");
    cycle(settings.theme, THEMES);
    cycle(settings.theme, THEMES);
    expect(settings.theme.value).toBe("auto");
    resize(100);
    expect(settings.fontSize.value).toBe(18);
    resize(-100);
    expect(settings.fontSize.value).toBe(11);
  });

  it("have a menu whose controls change them", () => {
    document.body.replaceChildren(document.createElement("div"));
    act(() => render(<SettingsMenu />, document.body.firstElementChild as Element));
    const selects = [...document.querySelectorAll("select")];
    act(() => {
      (selects[0] as HTMLSelectElement).value = "utc";
      selects[0]?.dispatchEvent(new Event("change", { bubbles: true }));
    });
    expect(settings.timeMode.value).toBe("utc");
    act(() => document.querySelector<HTMLElement>("[aria-label=Larger]")?.click());
    expect(settings.fontSize.value).toBe(14);
    for (const control of document.querySelectorAll("select, input"))
      expect(control.closest("label")?.textContent).toBeTruthy();
    act(() => render(null, document.body.firstElementChild as Element));
  });
});
