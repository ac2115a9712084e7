"""Moments at which something is to be done although nothing comes from outside."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Literal

Kind = Literal["answer", "job", "ping", "report", "wake"]
"""What becomes due: a request's answer, a job that waited, a ping, a job's status; or only that time has passed."""


class Timers:
    """What becomes due when. A timer is never taken back: who set it looks whether it still matters."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Kind, str]] = []
        self._ids = count()

    def set(self, when: float, kind: Kind, key: str = "") -> None:
        """Something becomes due."""
        heapq.heappush(self._heap, (when, next(self._ids), kind, key))

    @property
    def next(self) -> float | None:
        """When the next becomes due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[Kind, str]]:
        """All that is due by now, in order; also what is set meanwhile."""
        while self._heap and self._heap[0][0] <= now:
            _, _, kind, key = heapq.heappop(self._heap)
            yield kind, key
