"""Moments at which something has to be done although no event arrives."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Literal

Kind = Literal["answer", "job", "ping", "report", "wake"]
"""What becomes due: a request's timeout, a waiting job, a ping, a job's status report, or a mere wake-up."""


class Timers:
    """A heap of timers. A timer is never cancelled: its owner checks whether it still matters when it is due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Kind, str]] = []
        self._ids = count()

    def set(self, when: float, kind: Kind, key: str = "") -> None:
        """Add a timer.

        Args:
            when: the moment, in seconds of the monotonic clock.
            kind: what becomes due.
            key: the request, job or connection that it is about.
        """
        heapq.heappush(self._heap, (when, next(self._ids), kind, key))

    @property
    def next(self) -> float | None:
        """When the next timer becomes due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[Kind, str]]:
        """Remove and yield the timers that are due, in order, including those set in the meantime."""
        while self._heap and self._heap[0][0] <= now:
            _, _, kind, key = heapq.heappop(self._heap)
            yield kind, key
