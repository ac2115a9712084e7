"""`make bench-web`: open, scroll, flood, search and disconnect the viewer; print each figure beside its target.

The browser is headless Chromium without a GPU. The fake cloud (tests/support/viewer_cloud.py) speaks the real contract
with bodies by the real codec and pages as large as the real ones; it runs in its own process. Measure on an idle
machine: the load average is printed with the table. `--only` selects parts, `--trace FILE` keeps a trace of the
browser's main thread.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.web import page_recorders
from bench.web.cloud import ANSWER_S, cloud
from bench.web.heap import heaps
from bench.web.hostile import HOSTILE
from bench.web.trace import CATEGORIES, tasks, work_by_frame
from playwright.sync_api import Browser, Page, sync_playwright
from tests.support.viewer_cloud import job_id

ROOT = Path(__file__).parents[2]
WAIT_MS = 180_000
FRAME_MS = 16
SECONDS, RATE, TURN_S = 10.0, 10_000, 0.04
"""A flood: seconds, lines a second, and the round trip of 40 ms after which each batch is sent."""
EXPRESSIONS = (
    r"db-\d+: connection (refused|reset)",
    r"\b[0-9a-f]*beef\b",
    r"slow query on shard (7|13):.*\d{3} ms",
)


@dataclass(frozen=True)
class Figure:
    """One line of the table; `held` is None for a figure without a target."""

    name: str
    value: str
    target: str
    held: bool | None


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


class Bench:
    """One browser, one cloud, one job after another."""

    def __init__(self, server: Any, browser: Browser, port: int, dist: Path, options: argparse.Namespace) -> None:
        self.cloud, self.browser, self.port, self.dist = server, browser, port, dist
        self.lines, self.scale, self.trace = options.lines, options.scale, options.trace
        self.figures: list[Figure] = []
        self.filled = False

    def note(self, name: str, value: str, target: str = "", held: bool | None = None) -> None:
        self.figures.append(Figure(name, value, target, held))
        said = "" if held is None else f" (target {target}) {'ok' if held else 'MISSED'}"
        print(f"  {name}: {value}{said}", file=sys.stderr, flush=True)

    # --- measurements ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Measure navigation, page, scripts, /config.json, login by key, worker, history, rows, with nothing cached."""
        self.fill()
        middle, said = self.opened()
        name = f"open a {self.lines:,}-line job at the tail, first rows after navigation"
        self.note(name, said, "< 1,000 ms", middle < 1_000)
        self.cloud.answer_after(ANSWER_S)
        middle, said = self.opened(line=True)
        self.cloud.answer_after(0)
        self.note(
            "… over a link of 10 Mbit/s and 40 ms, history answered after 40 ms", said, "< 1,000 ms", middle < 1_000
        )

    def opened(self, *, line: bool = False) -> tuple[float, str]:
        times = []
        for _ in range(5):
            with self.page(self.cloud.address("big", line=line)) as page:
                page.wait_for_function("() => window.bench.rows > 0")
                page.wait_for_selector(f'[data-seq="{self.lines}"]')
                times.append(page.evaluate("() => window.bench.rows"))
        middle = percentile(times, 0.5)
        return middle, f"{middle:.0f} ms (median of 5; {min(times):.0f} to {max(times):.0f})"

    def hostile(self) -> None:
        """Measure the first row after navigation for hostile lines, as for any job."""
        for size, said in ((65_536, "64 KiB"), (1_048_576, "1 MiB")):
            middles = {}
            for kind in HOSTILE:
                name = f"hostile-{size}-{kind}".replace(" ", "-")
                self.cloud.hostile(name, kind, size)
                times = []
                for _ in range(3):
                    with self.page(self.cloud.address(name)) as page:
                        page.wait_for_function("() => window.bench.rows > 0")
                        times.append(page.evaluate("() => window.bench.rows"))
                middles[kind] = percentile(times, 0.5)
                print(f"    {said}, {kind}: {middles[kind]:.0f} ms", file=sys.stderr, flush=True)
            worst = max(middles, key=lambda kind: middles[kind])
            value = f"{middles[worst]:.0f} ms (slowest of {len(middles)} kinds, median of 3 each: {worst})"
            self.note(f"a hostile line of {said}, first row", value, "≤ 1,000 ms", middles[worst] <= 1_000)

    def scroll(self) -> None:
        """Turn the wheel up and down at 1,500 to 12,000 px a second for some seconds each.

        Then move the scroll thumb.
        """
        with self.big() as page, self.traced(page, "scroll"):
            frames = []
            for speed, seconds in ((1_500, 4), (4_000, 4), (12_000, 3)):
                for direction in (1, -1):
                    frames += self.scroll_with_wheel(page, direction * speed, seconds)
            work, late, apart = ([frame[part] for frame in frames] for part in ("work", "late", "apart"))
            p95 = percentile(late, 0.95)
            skipped = sum(1 for one in apart if one > 25) / len(apart)
            value = (
                f"{p95:.1f} ms from the frame's start to the end of its paint (p50 {percentile(late, 0.5):.1f}, p99 "
                f"{percentile(late, 0.99):.1f}; work p95 {percentile(work, 0.95):.1f}); {len(frames)} frames, p95 "
                f"{percentile(apart, 0.95):.1f} ms apart, {skipped:.1%} after a skipped one"
            )
            self.note("scroll through it: p95 frame", value, f"< {FRAME_MS} ms", p95 < FRAME_MS)
            jumps = [page.evaluate(page_recorders.JUMP, share) for share in (0.1, 0.5, 0.9, 0.3, 0.7, 0.01, 0.99, 0.42)]
            self.note(
                "… scroll thumb moved: lines of that position after",
                f"{percentile(jumps, 0.5):.0f} ms (median of {len(jumps)}; at most {max(jumps):.0f})",
            )

    def scroll_with_wheel(self, page: Page, speed: float, seconds: float) -> list[dict[str, float]]:
        """Return the frames of a wheel gesture that the browser synthesizes, without this process in between."""
        wheel = page.context.new_cdp_session(page)
        page.evaluate(page_recorders.FRAMES)
        wheel.send(
            "Input.synthesizeScrollGesture",
            {"x": 600, "y": 500, "yDistance": speed * seconds, "speed": abs(speed), "gestureSourceType": "mouse"},
        )
        frames: list[dict[str, float]] = page.evaluate(page_recorders.STOP)
        wheel.detach()
        return frames

    def find(self) -> None:
        with self.big() as page:
            page.get_by_label("Regular expression").click()
            self.search(page, "nothing-yet")
            times = [self.search(page, expression) for expression in EXPRESSIONS]
            worst = max(times)
            each = ", ".join(f"{took:.0f}" for took in times)
            value = f"{worst:.0f} ms (slowest of 3, round trip as the page measures it; {each})"
            self.note(f"regular expression over {self.lines:,} lines in the tab", value, "< 300 ms", worst < 300)
            page.get_by_label("Search this job").fill("")
            page.wait_for_timeout(1_000)
            used, said = self.heap()
            self.note(f"heap at {self.lines:,} lines, all loaded and indexed", said, "< 150 MB", used < 150)

    def search(self, page: Page, expression: str) -> float:
        page.get_by_label("Search this job").fill(expression)
        page.wait_for_function(
            """([text, n]) => { const f = document.querySelector('.found');
              return f.dataset.found !== undefined && f.dataset.query === text
                && Number(f.dataset.lines) === n && Number(f.dataset.ms) > 0; }""",
            arg=[expression, self.lines],
        )
        found = page.locator(".found")
        ms = float(found.get_attribute("data-ms") or "nan")
        print(f"    {expression}: {found.get_attribute('data-found')} lines, {ms:.0f} ms", file=sys.stderr)
        return ms

    def burst(self) -> None:
        """Flood a page that follows; then one that is paused."""
        for name, paused in (("flooded", False), ("flooded-paused", True)):
            self.cloud.fill(name, 2_000)
            with self.page(self.cloud.address(name)) as page:
                self.wait_until_settled(page, name, 2_000)
                if paused:
                    self.scroll_with_wheel(page, 3_000, 0.3)
                    page.wait_for_selector("[data-follow=off]")
                    page.wait_for_timeout(500)
                reading = page.evaluate(page_recorders.AT_TOP)
                page.evaluate("() => { window.bench.long.length = 0; }")
                with self.traced(page, name):
                    took = self.cloud.flood(name, rate=RATE, seconds=SECONDS, turn=TURN_S)
                    total = 2_000 + round(RATE * SECONDS)
                    lag = self.arrived(page, name, total, drawn=not paused)
                long = page.evaluate("() => window.bench.long")
                holes = page.evaluate("(job) => window.logferry.lines(job).holes.length", job_id(name))
                longest = f"longest task {max(long):.0f} ms" if long else "no task over 50 ms"
                rate = f"{RATE * SECONDS / took:,.0f} lines/s for {took:.1f} s, the last one arrived {lag:.0f} ms later"
                value = f"{longest}, all {total:,} arrived, {holes} holes; {rate}"
                kept = page.evaluate(page_recorders.AT_TOP) == reading
                if paused:
                    value += f"; the current row {'has not moved' if kept else 'MOVED'}"
                held = not long and holes == 0 and (kept or not paused)
                doing = "reading back" if paused else "following"
                self.note(
                    f"{RATE:,} lines/s for {SECONDS:.0f} s, {doing}", value, "no task over 50 ms, nothing missing", held
                )

    def arrived(self, page: Page, name: str, total: int, *, drawn: bool) -> float:
        """Return the milliseconds until everything has arrived and its last row is drawn."""
        return float(
            page.evaluate(
                """([job, n, drawn]) => new Promise((resolve) => {
                  const began = performance.now();
                  const look = () => {
                    const there = window.logferry.lines(job).received === n;
                    const row = !drawn || document.querySelector(`[data-seq="${n}"]`);
                    if (there && row) resolve(performance.now() - began); else setTimeout(look, 5);
                  };
                  look();
                })""",
                [job_id(name), total, drawn],
            )
        )

    def minute(self) -> None:
        """Follow for a minute: the page keeps its elements, and its memory grows by the lines only."""
        rate, seconds = 2_000, 60.0
        self.cloud.fill("minute", 2_000)
        with self.page(self.cloud.address("minute")) as page:
            self.wait_until_settled(page, "minute", 2_000)
            self.cloud.flood("minute", rate=rate, seconds=5.0, turn=TURN_S)
            _, first = self.heap()
            before = page.evaluate("() => document.querySelectorAll('*').length")
            self.cloud.flood("minute", rate=rate, seconds=seconds, turn=TURN_S)
            self.arrived(page, "minute", 2_000 + round(rate * (5 + seconds)), drawn=True)
            page.wait_for_timeout(1_000)
            _, last = self.heap()
            after = page.evaluate("() => document.querySelectorAll('*').length")
            value = f"{first} before, {last} after {rate * seconds:,.0f} more lines; {before} and {after} elements"
            self.note("heap over a minute of following at 2,000 lines/s", value)

    def reconnects(self, times: int = 100) -> None:
        self.cloud.new_job("broken")
        job = job_id("broken")
        with self.page(self.cloud.address("broken")) as page:
            page.wait_for_function("(job) => window.logferry.lines(job)?.subscribed", arg=job)
            self.cloud.inject_faults(11)
            written = 0
            for turn in range(times):
                opened = page.evaluate("() => window.logferry.connection().opened")
                for _ in range(3):
                    self.cloud.write("broken", [f"line {written + 1 + n}" for n in range(20)], batch=5)
                    written += 20
                self.cloud.cut()
                self.cloud.write("broken", [f"line {written + 1 + n}" for n in range(10)], batch=3)
                written += 10
                page.wait_for_function(page_recorders.RECONNECTED, arg=opened)
                if turn % 20 == 19:
                    print(f"    {turn + 1} reconnects", file=sys.stderr, flush=True)
            self.cloud.clear_faults()
            page.wait_for_function(
                """([job, n]) => window.logferry.lines(job).received === n
                  && window.logferry.lines(job).holes.length === 0""",
                arg=[job, written],
            )
            entries = page.evaluate(
                "async ([job, n]) => (await window.logferry.entries(job, 1, n)).map((one) => [one.sequence, one.text])",
                [job, written],
            )
            wanted = {number: f"line {number}" for number in range(1, written + 1)}
            missing = len(wanted.keys() - {sequence for sequence, _ in entries})
            twice = len(entries) - len({sequence for sequence, _ in entries})
            wrong = sum(wanted.get(sequence) != text for sequence, text in entries)
            repeats = page.evaluate("(job) => window.logferry.lines(job).repeats", job)
            value = (
                f"{missing} missing, {twice} twice, {wrong} wrong of {written:,} ({repeats} repeated batches dropped)"
            )
            self.note(
                f"{times} forced reconnects under load, broadcasts lost, repeated and reordered",
                value,
                "0 missing, 0 twice",
                missing == twice == wrong == 0,
            )

    def size(self) -> None:
        said = subprocess.run(
            ["node", "scripts/size.mjs", self.dist], cwd=ROOT / "web", capture_output=True, text=True, check=False
        ).stdout
        total = int(re.findall(r"(\d+) B gz\s+initial JavaScript", said)[0])
        self.note(
            "initial JavaScript, gzipped, the worker included", f"{total / 1000:.1f} kB", "≤ 60 kB", total <= 60_000
        )

    def axe(self) -> None:
        source = (ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text()
        self.cloud.fill("small", 500)
        found = []
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page = self.browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
                page.add_init_script(source)
                for address, ready in (
                    (self.cloud.address("small"), '[data-seq="500"]'),
                    (self.cloud.address(), "[data-job]"),
                ):
                    page.goto(address)
                    page.wait_for_selector(ready)
                    violations = page.evaluate(
                        "async () => (await axe.run()).violations.map((v) => [v.impact, v.id, v.nodes.length])"
                    )
                    found += [(scheme, width, *one) for one in violations if one[0] in ("serious", "critical")]
                page.close()
        for one in found:
            print(f"    {one}", file=sys.stderr)
        self.note(
            "axe, serious or critical findings (two pages, two themes, two widths)", str(len(found)), "0", not found
        )

    # --- helpers --------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        if self.filled:
            return
        print(f"encoding {self.lines:,} lines", file=sys.stderr, flush=True)
        self.cloud.fill("big", self.lines)
        self.filled = True

    @contextmanager
    def page(self, address: str) -> Iterator[Page]:
        """Open a page in its own context, with an empty cache."""
        page = self.browser.new_page(viewport={"width": 1280, "height": 800}, device_scale_factor=self.scale)
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(f"({page_recorders.OPENED})()")
        page.goto(address)
        try:
            yield page
        finally:
            page.close()

    @contextmanager
    def big(self) -> Iterator[Page]:
        """Open the big job's page, completely loaded and indexed, and wait until it is idle."""
        self.fill()
        with self.page(self.cloud.address("big")) as page:
            page.wait_for_selector(f'[data-seq="{self.lines}"]')
            page.evaluate("(job) => window.logferry.whole(job)", job_id("big"))
            self.wait_until_settled(page, "big", self.lines)
            yield page

    def wait_until_settled(self, page: Page, name: str, lines: int) -> None:
        page.wait_for_function("([job, n]) => window.logferry.lines(job)?.received === n", arg=[job_id(name), lines])
        page.wait_for_function(
            """(n) => document.querySelector('[data-errors]').dataset.indexed >= n
              && document.querySelector('[data-live-state=live]')""",
            arg=lines,
        )
        page.wait_for_timeout(1_000)

    @contextmanager
    def traced(self, page: Page, name: str) -> Iterator[None]:
        """With --trace, print the longest tasks, and keep the trace for the browser's own tools."""
        if self.trace is None:
            yield
            return
        path = Path(f"{self.trace}-{name}.json")
        self.browser.start_tracing(page=page, path=path, categories=CATEGORIES)
        yield
        made = tasks(self.browser.stop_tracing())
        work = work_by_frame(made)
        print(
            f"    work: {sum(task.worked for task in made):.0f} ms in all, p95 {percentile(work, 0.95):.1f} ms a frame",
            file=sys.stderr,
        )
        for task in sorted(made, key=lambda task: -task.worked)[:12]:
            print(f"    {task}", file=sys.stderr)

    def heap(self) -> tuple[float, str]:
        # Playwright's own event loop runs in this thread.
        with ThreadPoolExecutor(1) as thread:
            parts = thread.submit(heaps, self.port).result()
        each = {name: heap["usedSize"] + heap["backingStorageSize"] for name, heap in parts.items()}
        used = sum(each.values())
        return used, f"{used:.0f} MB ({', '.join(f'{name} {one:.1f}' for name, one in each.items())})"


PARTS: dict[str, Callable[[Bench], None]] = {
    "open": Bench.open,
    "hostile": Bench.hostile,
    "scroll": Bench.scroll,
    "find": Bench.find,
    "burst": Bench.burst,
    "minute": Bench.minute,
    "size": Bench.size,
    "axe": Bench.axe,
    "reconnects": Bench.reconnects,
}


def build(folder: Path) -> Path:
    """Build the viewer from the current sources, and compress it as CloudFront serves it."""
    command = ["npx", "vite", "build", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "error"]
    subprocess.run(command, cwd=ROOT / "web", check=True)
    for path in [*folder.glob("*.html"), *folder.glob("assets/*")]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.web", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--scale", type=float, default=1, help="the screen's device pixel ratio")
    parser.add_argument("--trace", help="prefix of the files for Chrome traces; each part appends its name")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory() as folder, cloud(build(Path(folder))) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", f"--remote-debugging-port={port}"]
        )
        print(f"Chromium {browser.version}, device pixel ratio {options.scale:g}", file=sys.stderr)
        bench = Bench(server, browser, port, Path(folder), options)
        for name in options.only:
            PARTS[name](bench)
        browser.close()
    print(f"\nload average: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    width = max(len(figure.name) for figure in bench.figures)
    print(f"\n{'figure':{width}}  {'target':35}  measured")
    for figure in bench.figures:
        missed = "   <- MISSED" if figure.held is False else ""
        print(f"{figure.name:{width}}  {figure.target:35}  {figure.value}{missed}")
    return 0 if all(figure.held is not False for figure in bench.figures) else 1


if __name__ == "__main__":
    sys.exit(main())
