"""Take the pictures of the viewer in the README: `make screenshots` writes docs/pictures/viewer-{light,dark}.png.

The pictures show the demo's three sample containers, merged by time, around the first error. They need a Docker
Engine and Chromium, as `make demo` and the browser tests do.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from logferry_local.checkout import find_checkout
from logferry_state.state import DEMO_FOLDER_NAME

CHROMIUM = "/usr/bin/chromium"
FOLDER = find_checkout().root / "docs" / "pictures"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIEWPORT: ViewportSize = {"width": 1280, "height": 680}
"""CSS pixels. GitHub shows a README about 900 pixels wide."""
MAX_BYTES = 250_000
"""A README that loads slowly is not read."""
DEMO_WITHIN_S = 300.0
"""The first demo in a fresh checkout builds the functions."""
SAMPLE = "logferry-demo-"
TRACE_BEGINS = 11
"""The sequence of the import's first traceback line: its start and nine lines (infra/samples/import.sh) come before."""
CONTAINER_CHARS = 12
"""A link names a container by this many digits of its id (web/src/route.ts)."""
SETTLE_MS = 2_000
"""Rows, colours and the mini-map are drawn within a few frames; a busy machine needs longer."""
PATIENCE_MS = 60_000


def main() -> None:
    """Run the demo, open the merged view in each theme, and write one picture a theme."""
    FOLDER.mkdir(exist_ok=True)
    with _demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-lcd-text"])
        try:
            for theme in THEMES:
                path = FOLDER / f"viewer-{theme}.png"
                _take(browser, address, theme, path)
                size = path.stat().st_size
                print(f"{path.relative_to(FOLDER.parents[1])}: {size:,} bytes")
                if size > MAX_BYTES:
                    sys.exit(f"{path.name} is larger than {MAX_BYTES:,} bytes. Make VIEWPORT smaller.")
        finally:
            browser.close()


@contextmanager
def _demo() -> Iterator[str]:
    """Run `logferry demo` in a state folder of its own; give the viewer's address, which contains a key."""
    with tempfile.TemporaryDirectory(prefix="logferry-screenshots-") as folder:
        # The demo's default folder name keeps the containers' names short.
        state = Path(folder) / DEMO_FOLDER_NAME
        command = [str(find_checkout().logferry), "demo", "--state", str(state)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            limit = threading.Timer(DEMO_WITHIN_S, process.terminate)
            limit.start()
            try:
                yield _address(process)
            finally:
                limit.cancel()
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=DEMO_WITHIN_S)


def _address(process: subprocess.Popen[str]) -> str:
    """Return the address that the demo prints.

    Raises:
        SystemExit: the demo ended before it printed one; its own output says why.
    """
    for line in process.stdout or ():
        for word in line.split():
            if word.startswith("http://") and "/#key=" in word:
                return word
    sys.exit("`logferry demo` ended before the viewer was served. Its output is above.")


def _take(browser: Browser, address: str, theme: Literal["light", "dark"], path: Path) -> None:
    """Open the demo's jobs merged, go to the first error, and store the picture."""
    context = browser.new_context(viewport=VIEWPORT, color_scheme=theme, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        page.goto(address)
        jobs = _ended_jobs(page)
        container = jobs[f"{SAMPLE}import"].partition(".")[2][:CONTAINER_CHARS]
        query = "&".join(f"job={job}" for job in jobs.values())
        page.goto(f"{address.split('#', maxsplit=1)[0]}?{query}&line={container}.{TRACE_BEGINS}")
        page.get_by_text("Traceback (most recent call last)").first.wait_for()
        page.get_by_text("Connected", exact=True).wait_for()
        page.wait_for_timeout(SETTLE_MS)
        older = page.get_by_role("button", name=re.compile(r"^Load [\d,]+ older lines"))
        while older.count():  # All three jobs from their first line on, so that they interleave.
            older.first.click()
            page.wait_for_timeout(SETTLE_MS)
        page.keyboard.press("Escape")  # Takes the mark away that the link made.
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=path)
    finally:
        context.close()


def _ended_jobs(page: Page) -> dict[str, str]:
    """Return the job ids by container name, after the build and the import have ended."""
    page.wait_for_function("""() => document.querySelectorAll("[data-job][data-state=exited]").length === 2""")
    rows = (
        """rows => Object.fromEntries(rows.map(row => [row.querySelector(".job-name").innerText, row.dataset.job]))"""
    )
    found: dict[str, str] = page.eval_on_selector_all("[data-job]", rows)
    return found


if __name__ == "__main__":
    main()
