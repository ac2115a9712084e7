"""The gateway's time: real, or moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds from an arbitrary start, and waiting for one of them."""

    def now(self) -> float: ...

    async def sleep_until(self, when: float) -> None: ...


class RunningClock:
    """The machine's."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        while (left := when - self.now()) > 0:
            await asyncio.sleep(left)


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        if when <= self._now:
            return
        event = asyncio.Event()
        heapq.heappush(self._waiting, (when, next(self._order), event))
        await event.wait()

    def advance(self, seconds: float) -> None:
        """Moves the time on, and wakes all that waited for what has passed."""
        self._now += seconds
        while self._waiting and self._waiting[0][0] <= self._now:
            heapq.heappop(self._waiting)[2].set()
