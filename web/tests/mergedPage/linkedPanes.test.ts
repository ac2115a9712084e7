// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Linkable, LinkedPanes } from "../../src/mergedPage/linkedPanes";

class Pane extends EventTarget implements Linkable {
  onLook: Linkable["onLook"] = null;
  readonly shown: (number | "end")[] = [];
  /** Until then the line for a time is not known. */
  asked: Promise<void> = Promise.resolve();

  async showTime(time: number, wanted: () => boolean): Promise<void> {
    await this.asked;
    if (!wanted()) return;
    this.shown.push(time);
    // As a pane does whenever it moves.
    this.onLook?.(time);
  }

  follow(): void {
    this.shown.push("end");
  }

  scroll(time: number | null): void {
    this.dispatchEvent(new Event("wheel"));
    this.onLook?.(time);
  }
}

describe("linked panes", () => {
  let linked: LinkedPanes;
  let panes: Pane[];
  beforeEach(() => {
    vi.useFakeTimers();
    linked = new LinkedPanes();
    panes = [new Pane(), new Pane(), new Pane()];
    for (const pane of panes) linked.join(pane, pane);
  });
  afterEach(() => vi.useRealTimers());
  const [A, B, C] = [0, 1, 2];
  const shown = (): (number | "end")[][] => panes.map((pane) => pane.shown);

  test("follow the pane that a person scrolls, and never move it in turn", async () => {
    panes[A]?.scroll(10);
    panes[A]?.scroll(20);
    await vi.runAllTimersAsync();
    expect(shown()).toEqual([[], [20], [20]]);
    panes[B]?.scroll(30);
    await vi.runAllTimersAsync();
    expect(shown()).toEqual([[30], [20], [20, 30]]);
  });

  test("follow the end when the leading pane does", () => {
    panes[C]?.scroll(null);
    vi.runAllTimers();
    expect(shown()).toEqual([["end"], ["end"], []]);
  });

  test("stay in place when the link is off", async () => {
    panes[A]?.scroll(10);
    linked.on.value = false;
    await vi.runAllTimersAsync();
    panes[A]?.scroll(20);
    await vi.runAllTimersAsync();
    expect(shown()).toEqual([[], [], []]);
  });

  /** The time is requested; the test acts before the answer. */
  const meanwhile = async (act: () => void): Promise<void> => {
    let answer = (): void => undefined;
    const asked = new Promise<void>((resolve) => (answer = resolve));
    for (const pane of panes) pane.asked = asked;
    panes[A]?.scroll(10);
    await vi.runAllTimersAsync();
    act();
    answer();
    await vi.runAllTimersAsync();
  };

  test("stay in place when the link is switched off before the target is known", async () => {
    await meanwhile(() => (linked.on.value = false));
    expect(shown()).toEqual([[], [], []]);
  });

  test("do not move a pane in which a person began to read", async () => {
    await meanwhile(() => panes[B]?.dispatchEvent(new Event("pointerdown")));
    expect(shown()).toEqual([[], [], [10]]);
  });
});
