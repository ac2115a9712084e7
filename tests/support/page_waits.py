"""Wait for a moving page: until a value is reached, or until it is stable, never for a fixed time.

A page does everything by frames and tasks, and a machine may be slow: a value read once, right after an action, may be
read too early. The loops here run in the page, frame by frame, and are awaited (Playwright's `wait_for_function` would
take a promise for a yes).
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

PATIENCE_MS = 60_000
"""Milliseconds to wait for any condition: generous, as only a failing test waits that long."""
FRAMES = 30
"""Half a second at least. Nothing in the pane waits as long before it goes on (its scroll bar 160 ms, growth 90)."""

LATE = """
window.Worker = class extends Worker {
  set onmessage(hear) { super.onmessage = (event) => setTimeout(() => hear(event), window.late ?? 0); }
};
"""
"""For `add_init_script`: delays the worker's messages by `window.late` ms, as on a busy machine."""

_LOOK = """async ([arg, wanted, frames, patience]) => {
  const measure = %s;
  const end = performance.now() + patience;
  for (let last, same = 0; ; ) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const value = measure(arg) ?? null, now = JSON.stringify(value);
    same = now === last ? same + 1 : 0;
    last = now;
    const found = frames === null ? now === wanted : same >= frames;
    if (found || performance.now() > end) return [value, found];
  }
}"""


def wait_until_equal(page: Page, measure: str, wanted: Any, arg: Any = None) -> None:
    """Wait until a function of the page returns this value."""
    text = page.evaluate("(wanted) => JSON.stringify(wanted)", wanted)
    value, _ = page.evaluate(_LOOK % measure, [arg, text, None, PATIENCE_MS])
    assert value == wanted


def wait_until_stable(page: Page, measure: str, arg: Any = None) -> Any:
    """Return the value of a function of the page once it has been the same for many frames.

    A stable value need not be the final one. Wait first for a sign that the action itself has happened.
    """
    value, rested = page.evaluate(_LOOK % measure, [arg, None, FRAMES, PATIENCE_MS])
    assert rested, f"no rest within {PATIENCE_MS} ms: {value}"
    return value
