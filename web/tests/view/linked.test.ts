// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Linkable, LinkedTime } from "../../src/view/linked";

class Pane extends EventTarget implements Linkable {
  onLook: Linkable["onLook"] = null;
  readonly shown: (number | "end")[] = [];

  showTime(time: number): Promise<void> {
    this.shown.push(time);
    // As a pane does when it is moved, by whomever.
    this.onLook?.(time);
    return Promise.resolve();
  }

  follow(): void {
    this.shown.push("end");
  }

  scroll(time: number | null): void {
    this.dispatchEvent(new Event("wheel"));
    this.onLook?.(time);
  }
}

describe("panes at the same moment", () => {
  let linked: LinkedTime;
  let panes: Pane[];
  beforeEach(() => {
    vi.useFakeTimers();
    linked = new LinkedTime();
    panes = [new Pane(), new Pane(), new Pane()];
    for (const pane of panes) linked.join(pane, pane);
  });
  afterEach(() => vi.useRealTimers());
  const [A, B, C] = [0, 1, 2];
  const shown = (): (number | "end")[][] => panes.map((pane) => pane.shown);

  test("go where the one that a person scrolls goes, and never lead it back", () => {
    panes[A]?.scroll(10);
    panes[A]?.scroll(20);
    vi.runAllTimers();
    expect(shown()).toEqual([[], [20], [20]]);
    panes[B]?.scroll(30);
    vi.runAllTimers();
    expect(shown()).toEqual([[30], [20], [20, 30]]);
  });

  test("follow when it follows", () => {
    panes[C]?.scroll(null);
    vi.runAllTimers();
    expect(shown()).toEqual([["end"], ["end"], []]);
  });

  test("stay where they are when it is switched off", () => {
    panes[A]?.scroll(10);
    linked.on.value = false;
    vi.runAllTimers();
    panes[A]?.scroll(20);
    vi.runAllTimers();
    expect(shown()).toEqual([[], [], []]);
  });
});
