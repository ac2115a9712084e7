"""`make bench-web`: opens, scrolls, floods, searches and breaks the viewer, and prints what it took beside the promise.

The job has 1,000,000 lines, encoded by the real codec and served by tests/support/viewer_cloud.py, a pretend cloud that
speaks the real contract. The browser is headless Chromium.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.web.heap import heaps
from bench.web.lines import service_lines, service_streams
from playwright.sync_api import Page, sync_playwright
from tests.support.viewer_cloud import ViewerCloud, job_id, lossy

ROOT = Path(__file__).parents[2]
WAIT_MS = 180_000

WATCH = """() => {
  window.bench = {rows: 0, long: [], frames: [], work: []};
  new MutationObserver(() => {
    if (!window.bench.rows && document.querySelector('.row[data-kind=line]')) window.bench.rows = performance.now();
  }).observe(document, {subtree: true, childList: true});
  const tasks = (list) => { for (const entry of list.getEntries()) window.bench.long.push(entry.duration); };
  new PerformanceObserver(tasks).observe({entryTypes: ['longtask']});
}"""

RECONNECTED = """(n) => {
  const {kind, opened} = window.logferry.connection();
  // As when a person looks at the page again: no waiting for the backoff.
  if (kind === 'waiting') document.dispatchEvent(new Event('visibilitychange'));
  return opened > n;
}"""

FRAMES = """() => {
  const {frames, work} = window.bench;
  frames.length = work.length = 0;
  let last = 0;
  const channel = new MessageChannel();
  let began = 0;
  // A message posted in a frame's callback is handled after its style, layout and paint: the frame's work.
  channel.port1.onmessage = () => work.push(performance.now() - began);
  const step = (now) => {
    if (window.bench.stop) return;
    if (last) frames.push(now - last);
    last = now;
    began = performance.now();
    channel.port2.postMessage(null);
    requestAnimationFrame(step);
  };
  window.bench.stop = false;
  requestAnimationFrame(step);
}"""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    value: str
    target: str
    held: bool


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


class Bench:
    """One browser, one cloud, one job after another."""

    def __init__(self, cloud: ViewerCloud, browser: Any, lines: int, port: int) -> None:
        self.cloud, self.browser, self.lines, self.port = cloud, browser, lines, port
        self.figures: list[Figure] = []

    def page(self, name: str) -> Page:
        page = self.browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(f"({WATCH})()")
        page.goto(self.cloud.page(name))
        return page

    def note(self, name: str, value: str, target: str, held: bool) -> None:
        self.figures.append(Figure(name, value, target, held))
        print(f"  {name}: {value} (target {target}) {'ok' if held else 'MISSED'}", file=sys.stderr, flush=True)

    def open(self) -> None:
        times = []
        for _ in range(5):
            page = self.page("big")
            page.wait_for_selector(f'[data-seq="{self.lines}"]')
            times.append(page.evaluate("() => window.bench.rows"))
            page.close()
        middle = percentile(times, 0.5)
        spread = f"{middle:.0f} ms (median of 5; {min(times):.0f} to {max(times):.0f})"
        self.note(
            f"open a {self.lines:,}-line job at the tail, first rows after navigation",
            spread,
            "< 1,000 ms",
            middle < 1_000,
        )

    def scroll(self) -> None:
        page = self.page("big")
        page.wait_for_selector(f'[data-seq="{self.lines}"]')
        job = job_id("big")
        page.evaluate("(job) => window.logferry.whole(job)", job)
        page.wait_for_function("([job, n]) => window.logferry.lines(job).received === n", arg=[job, self.lines])
        page.mouse.move(600, 500)
        page.evaluate(FRAMES)
        rng = random.Random(5)
        for _ in range(240):
            page.mouse.wheel(0, rng.choice([-1, -1, -1, 1]) * rng.randint(60, 900))
            page.wait_for_timeout(12)
        for share in (0.1, 0.5, 0.9, 0.3, 0.7, 0.01, 0.99):
            page.evaluate(
                "(share) => { const p = document.querySelector('.pane'); p.scrollTop = share * p.scrollHeight; }", share
            )
            page.wait_for_timeout(250)
        page.evaluate("() => { window.bench.stop = true; }")
        work, frames = page.evaluate("() => [window.bench.work, window.bench.frames]")
        p95 = percentile(work, 0.95)
        spread = f"p50 {percentile(work, 0.5):.1f}, p99 {percentile(work, 0.99):.1f}; {len(work)} frames"
        value = f"{p95:.1f} ms of work ({spread}, p95 {percentile(frames, 0.95):.1f} ms apart)"
        self.note("scroll through it: p95 frame", value, "< 16 ms", p95 < 16)
        self.find(page, job)
        page.close()

    def find(self, page: Page, job: str) -> None:
        page.wait_for_function(
            "(n) => document.querySelector('[data-errors]').dataset.indexed >= n",
            arg=self.lines,
        )
        page.get_by_label("Regular expression").click()
        times = []
        for expression in (
            "nothing-yet",
            r"db-\d+: connection (refused|reset)",
            r"\b[0-9a-f]*beef\b",
            r"slow query on shard (7|13):.*\d{3} ms",
        ):
            page.get_by_label("Search this job").fill(expression)
            page.wait_for_function(
                """([text, n]) => { const f = document.querySelector('.found');
                  return f.dataset.found !== undefined && f.dataset.query === text
                    && Number(f.dataset.lines) === n && Number(f.dataset.ms) > 0; }""",
                arg=[expression, self.lines],
            )
            ms = float(page.get_attribute(".found", "data-ms") or "nan")
            if expression != "nothing-yet":
                times.append(ms)
            print(f"    {expression}: {page.get_attribute('.found', 'data-found')} lines, {ms:.0f} ms", file=sys.stderr)
        worst = max(times)
        self.note(
            f"regular expression over {self.lines:,} lines in the tab",
            f"{worst:.0f} ms (slowest of 3; {', '.join(f'{t:.0f}' for t in times)})",
            "< 300 ms",
            worst < 300,
        )
        page.get_by_label("Search this job").fill("")
        page.wait_for_timeout(1_000)
        # Playwright's own event loop runs in this thread.
        with ThreadPoolExecutor(1) as thread:
            parts = thread.submit(heaps, self.port).result()
        used = sum(heap["usedSize"] + heap["backingStorageSize"] for heap in parts.values())
        each = ", ".join(f"{name} {heap['usedSize'] + heap['backingStorageSize']:.0f}" for name, heap in parts.items())
        self.note(
            f"heap at {self.lines:,} lines, all loaded and indexed", f"{used:.0f} MB ({each})", "< 150 MB", used < 150
        )

    def burst(self) -> None:
        self.cloud.add_job("burst")
        page = self.page("burst")
        job = job_id("burst")
        page.wait_for_function("(job) => window.logferry.lines(job)?.subscribed", arg=job)
        page.wait_for_timeout(500)
        rounds, each = 100, 1_000
        texts = list(service_lines(rounds * each))
        prepared = [
            self.cloud.encode("burst", texts[at * each : (at + 1) * each], None, after=at * each)
            for at in range(rounds)
        ]
        page.evaluate("() => { window.bench.long.length = 0; }")
        began = time.monotonic()
        for at, batches in enumerate(prepared):
            self.cloud.broadcast("burst", batches)
            time.sleep(max(0, began + (at + 1) * 0.1 - time.monotonic()))
        took = time.monotonic() - began
        total = rounds * each
        page.wait_for_function("([job, n]) => window.logferry.lines(job).received === n", arg=[job, total])
        page.wait_for_selector(f'[data-seq="{total}"]')
        lag = time.monotonic() - began - took
        longest = max(page.evaluate("() => window.bench.long") or [0])
        holes = page.evaluate("(job) => window.logferry.lines(job).holes.length", job)
        rate = f"{total / took:,.0f} lines/s for {took:.1f} s, last row {lag * 1000:.0f} ms later"
        value = f"longest task {longest:.0f} ms, all {total:,} there, {holes} holes; {rate}"
        self.note(
            "10,000 lines/s for 10 s, following",
            value,
            "no task over 50 ms, nothing missing",
            longest <= 50 and holes == 0,
        )
        page.close()

    def reconnects(self, times: int = 100) -> None:
        self.cloud.add_job("broken")
        page = self.page("broken")
        job = job_id("broken")
        page.wait_for_function("(job) => window.logferry.lines(job)?.subscribed", arg=job)
        self.cloud.mangle = lossy(random.Random(11))
        written = 0
        for turn in range(times):
            opened = page.evaluate("() => window.logferry.connection().opened")
            for _ in range(3):
                self.cloud.write("broken", [f"line {written + 1 + n}" for n in range(20)], batch=5)
                written += 20
            self.cloud.cut()
            self.cloud.write("broken", [f"line {written + 1 + n}" for n in range(10)], batch=3)
            written += 10
            page.wait_for_function(RECONNECTED, arg=opened)
            if turn % 20 == 19:
                print(f"    {turn + 1} reconnects", file=sys.stderr, flush=True)
        self.cloud.mangle = lambda batches: batches
        page.wait_for_function(
            "([job, n]) => window.logferry.lines(job).received === n && window.logferry.lines(job).holes.length === 0",
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
        value = f"{missing} missing, {twice} twice, {wrong} wrong of {written:,} ({repeats} repeated batches left out)"
        self.note(
            f"{times} forced reconnects under load, broadcasts lost, repeated and reordered",
            value,
            "0 missing, 0 twice",
            missing == twice == wrong == 0,
        )
        page.close()

    def size(self) -> None:
        said = subprocess.run(
            ["node", "scripts/size.mjs"], cwd=ROOT / "web", capture_output=True, text=True, check=False
        ).stdout
        total = int(re.findall(r"(\d+) B gz\s+initial JavaScript", said)[0])
        self.note(
            "initial JavaScript, gzipped, the worker included", f"{total / 1000:.1f} kB", "≤ 60 kB", total <= 60_000
        )

    def axe(self) -> None:
        source = (ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text()
        self.cloud.add_job("small")
        self.cloud.append("small", list(service_lines(500)), service_streams(500))
        found = []
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page = self.browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
                page.add_init_script(source)
                for address, ready in (
                    (self.cloud.page("small"), '[data-seq="500"]'),
                    (self.cloud.page(), "[data-job]"),
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


def build(cloud: ViewerCloud, lines: int) -> None:
    """Encodes the big job's batches, as large as one frame carries."""
    cloud.add_job("big")
    texts, streams = list(service_lines(lines)), service_streams(lines)
    cloud.append("big", texts, streams, batch=2_000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.web", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=["open", "scroll", "burst", "size", "axe", "reconnects"])
    chosen = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ViewerCloud() as cloud:
        print(f"encoding {chosen.lines:,} lines", file=sys.stderr, flush=True)
        if {"open", "scroll"} & set(chosen.only):
            build(cloud, chosen.lines)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", f"--remote-debugging-port={port}"]
            )
            bench = Bench(cloud, browser, chosen.lines, port)
            for name in chosen.only:
                getattr(bench, name)()
            browser.close()
    print(f"\nload average: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    width = max(len(figure.name) for figure in bench.figures)
    print(f"\n{'figure':{width}}  {'target':35}  measured")
    for figure in bench.figures:
        print(f"{figure.name:{width}}  {figure.target:35}  {figure.value}{'' if figure.held else '   <- MISSED'}")
    return 0 if all(figure.held for figure in bench.figures) else 1


if __name__ == "__main__":
    sys.exit(main())
