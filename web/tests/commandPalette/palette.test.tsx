// @vitest-environment happy-dom
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Action, actions, keyName, listen, register } from "../../src/actions";
import { GlobalOverlay } from "../../src/commandPalette/GlobalOverlay";
import { rank } from "../../src/commandPalette/rank";
import { records } from "../../src/state";
import { record } from "../jobs/records";

let ran: string[] = [];
let ends: (() => void)[] = [];

function action(id: string, keys: readonly string[], title = id): Action {
  return { id, title, keys, group: "Test", run: () => ran.push(id) };
}

function press(key: string, more: KeyboardEventInit = {}, target: EventTarget = document.body): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  act(() => {
    target.dispatchEvent(event);
  });
  return event;
}

beforeEach(() => {
  ran = [];
  records.value = new Map();
  document.body.replaceChildren(document.createElement("div"));
  ends = [listen()];
});
afterEach(() => {
  act(() => render(null, document.body.firstElementChild as Element));
  for (const end of ends) end();
  expect(actions.value).toEqual([]);
});

describe("keys", () => {
  it.each([
    [{ key: "n" }, "n"],
    [{ key: "N", shiftKey: true }, "N"],
    [{ key: "?", shiftKey: true }, "?"],
    [{ key: " " }, "Space"],
    [{ key: "End", shiftKey: true }, "Shift+End"],
    [{ key: "k", ctrlKey: true }, "Ctrl+K"],
    [{ key: "k", metaKey: true }, "Ctrl+K"],
    [{ key: "f", ctrlKey: true, shiftKey: true }, "Ctrl+Shift+F"],
    [{ key: "Escape" }, "Escape"],
  ])("%j is %s", (given, name) => {
    expect(keyName({ ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...given })).toBe(name);
  });

  it("run their action; of two with one key, the later registered wins", () => {
    ends.push(register([action("page", ["n", "End"])]));
    const dialog = register([action("dialog", ["n"])]);
    expect(press("n").defaultPrevented).toBe(true);
    dialog();
    press("n");
    press("End");
    expect(press("m").defaultPrevented).toBe(false);
    expect(ran).toEqual(["dialog", "page", "page"]);
  });

  it("with Shift match the letter that Shift produces", () => {
    ends.push(register([action("previous", ["Shift+E"])]));
    press("E", { shiftKey: true });
    expect(ran).toEqual(["previous"]);
  });

  it("go to a focused text field, except for Escape and Ctrl-K", () => {
    ends.push(
      register([action("n", ["n"]), action("escape", ["Escape"]), action("k", ["Ctrl+K"]), action("copy", ["Ctrl+C"])]),
    );
    const field = document.body.appendChild(document.createElement("input"));
    for (const key of ["n", "Escape"]) press(key, {}, field);
    for (const key of ["k", "c"]) press(key, { ctrlKey: true }, field);
    expect(ran).toEqual(["escape", "k"]);
  });

  it("leave Space and Enter to buttons and links", () => {
    ends.push(register([action("pause", ["Space"])]));
    press(" ", {}, document.body.appendChild(document.createElement("button")));
    expect(ran).toEqual([]);
    press(" ");
    expect(ran).toEqual(["pause"]);
  });
});

describe("the command palette", () => {
  /** Press at once, before the overlay has loaded. */
  const show = async (): Promise<void> => {
    act(() => render(<GlobalOverlay />, document.body.firstElementChild as Element));
    press("k", { ctrlKey: true });
    await vi.waitFor(() => expect(document.querySelector(".palette")).not.toBeNull(), { timeout: 60_000 });
  };
  const type = (text: string): void => {
    const field = document.querySelector<HTMLInputElement>(".palette input") as HTMLInputElement;
    act(() => {
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
  };
  const field = (): Element => document.querySelector(".palette input") as Element;

  it("opens on Ctrl-K, finds by letters, runs on Enter and closes", async () => {
    ends.push(register([action("end", ["G"], "Jump to the end"), action("wrap", ["w"], "Wrap long lines")]));
    await show();
    expect([...document.querySelectorAll("[role=option] .palette-title")].map((title) => title.textContent)).toEqual([
      "Jump to the end",
      "Wrap long lines",
      "Show keyboard shortcuts",
    ]);
    type("wll");
    expect(document.querySelectorAll("[role=option]")).toHaveLength(1);
    press("Enter", {}, field());
    expect(document.querySelector(".palette")).toBeNull();
    await vi.waitFor(() => expect(ran).toEqual(["wrap"]), { timeout: 60_000 });
  });

  it("moves with the arrow keys, wraps at the ends, and closes on Escape", async () => {
    ends.push(register([action("a", []), action("b", [])]));
    await show();
    const chosen = (): string | null | undefined =>
      document.querySelector("[aria-selected=true] .palette-title")?.textContent;
    expect(chosen()).toBe("a");
    press("ArrowUp", {}, field());
    expect(chosen()).toBe("Show keyboard shortcuts");
    press("ArrowDown", {}, field());
    expect(chosen()).toBe("a");
    press("Escape", {}, field());
    expect(document.querySelector(".palette")).toBeNull();
  });

  it("finds jobs by name and shows the name as text", async () => {
    const job = record({ container: { name: "<img src=x>" } });
    records.value = new Map([[job.job, job]]);
    await show();
    type("img");
    expect(document.querySelector("[role=option] .palette-title")?.textContent).toBe("<img src=x>");
    expect(document.querySelector("img")).toBeNull();
    type("nothing of this name");
    expect(document.querySelector(".palette-none")).not.toBeNull();
    press("Escape", {}, field());
  });

  it.each([
    ["", "anything", true],
    ["jte", "Jump to the end", true],
    ["end", "Jump to the end", true],
    ["dne", "Jump to the end", false],
    ["  ", "x", true],
  ])("%j matches %j: %s", (typed, title, answers) => {
    expect(rank(typed, title) !== null).toBe(answers);
  });

  it("ranks beginnings of words before scattered letters", () => {
    expect(rank("end", "Jump to the end") as number).toBeGreaterThan(rank("end", "Extend the band") as number);
  });
});

describe("help", () => {
  it("opens on ? and shows every key by group", async () => {
    ends.push(register([action("end", ["End", "G"], "Jump to the end"), action("keyless", [])]));
    act(() => render(<GlobalOverlay />, document.body.firstElementChild as Element));
    press("?", { shiftKey: true });
    await vi.waitFor(() => expect(document.querySelector(".help")).not.toBeNull(), { timeout: 60_000 });
    expect([...document.querySelectorAll(".help kbd")].map((key) => key.textContent)).toEqual([
      "End",
      "G",
      "Ctrl+K",
      "?",
    ]);
    expect(document.querySelector(".help")?.textContent).not.toContain("keyless");
    act(() => document.querySelector<HTMLElement>(".help .button")?.click());
    expect(document.querySelector(".help")).toBeNull();
  });
});
