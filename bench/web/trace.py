"""Read a Chrome trace of the page's main thread: its longest tasks, and where their time went."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel", "v8", "blink.user_timing"]

KINDS = {
    "FunctionCall": "script",
    "EvaluateScript": "script",
    "v8.compile": "script",
    "v8.compileModule": "script",
    "RunMicrotasks": "script",
    "FireAnimationFrame": "script",
    "TimerFire": "script",
    "HandlePostMessage": "script",
    "V8.DeserializeData": "script",
    "ParseHTML": "script",
    "UpdateLayoutTree": "style",
    "Layout": "layout",
    "PrePaint": "paint",
    "Paint": "paint",
    "Layerize": "paint",
    "Commit": "paint",
    "UpdateLayer": "paint",
    "MinorGC": "gc",
    "MajorGC": "gc",
    "V8.GC_MC_BACKGROUND_MARKING": "gc",
}


@dataclass(frozen=True)
class Task:
    """One task of the page's thread: its start in the trace, its duration, its CPU time, and that time by kind, in ms.

    Duration and CPU time differ on a busy machine.
    """

    began: float
    took: float
    worked: float
    parts: Mapping[str, float]
    frame: bool
    """It drew a frame."""

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(self.parts.items(), key=lambda one: -one[1]))
        return f"{self.worked:.1f} ms of work in {self.took:.0f} ms at {self.began / 1000:.2f} s ({parts})"


def work_by_frame(made: list[Task]) -> list[float]:
    """Return the milliseconds of work between the ends of consecutive frames, which the later frame waited for."""
    found, so_far = [], 0.0
    for task in made:
        so_far += task.worked
        if task.frame:
            found.append(so_far)
            so_far = 0.0
    return found


def tasks(trace: bytes) -> list[Task]:
    """Return the tasks of the busiest renderer main thread, by time."""
    events = json.loads(trace)["traceEvents"]
    threads = {(one["pid"], one["tid"]) for one in events if _names(one, "CrRendererMain")}
    by_thread: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for one in events:
        key = (one.get("pid"), one.get("tid"))
        if key in threads and one.get("ph") == "X":
            by_thread[key].append(one)
    if not by_thread:
        return []
    start = min(one["ts"] for thread in by_thread.values() for one in thread)
    busiest = max(by_thread.values(), key=lambda thread: sum(one.get("dur", 0) for one in thread if _is_task(one)))
    return list(_tasks(sorted(busiest, key=lambda one: (one["ts"], -one.get("dur", 0))), start))


def _tasks(events: list[dict[str, Any]], start: float) -> Iterator[Task]:
    at = 0
    while at < len(events):
        task = events[at]
        at += 1
        if not _is_task(task):
            continue
        end = task["ts"] + task.get("dur", 0)
        inner = []
        while at < len(events) and events[at]["ts"] < end:
            inner.append(events[at])
            at += 1
        frame = any(one["name"] == "FireAnimationFrame" for one in inner)
        took, worked = task.get("dur", 0) / 1000, task.get("tdur", task.get("dur", 0)) / 1000
        yield Task((task["ts"] - start) / 1000, took, worked, _own(task, inner), frame)


def _own(task: dict[str, Any], inner: list[dict[str, Any]]) -> dict[str, float]:
    """Return milliseconds by kind, each event without the events within it."""
    parts: dict[str, float] = defaultdict(float)
    open_: list[tuple[float, str]] = []
    cursor, end = _span(task)

    def spend(until: float) -> None:
        nonlocal cursor
        if until > cursor:
            parts[open_[-1][1] if open_ else "other"] += (until - cursor) / 1000
            cursor = until

    for one in inner:
        kind = KINDS.get(one["name"])
        # Some events have no time of the thread's own clock.
        if kind is None or ("tts" in one) != ("tts" in task):
            continue
        began, ended = _span(one)
        while open_ and open_[-1][0] <= began:
            spend(open_[-1][0])
            open_.pop()
        spend(began)
        open_.append((ended, kind))
    while open_:
        spend(open_[-1][0])
        open_.pop()
    spend(end)
    return {name: round(ms, 2) for name, ms in parts.items() if ms >= 0.05}


def _span(event: Mapping[str, Any]) -> tuple[float, float]:
    """Return the event's span by the thread's own clock, which stops while the thread has no processor."""
    began = event.get("tts", event["ts"])
    return began, began + event.get("tdur", event.get("dur", 0))


def _is_task(event: Mapping[str, Any]) -> bool:
    return bool(event["name"] in ("RunTask", "ThreadControllerImpl::RunTask"))


def _names(event: Mapping[str, Any], thread: str) -> bool:
    return event.get("name") == "thread_name" and event.get("args", {}).get("name") == thread
