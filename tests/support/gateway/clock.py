"""Provide the gateway's time: real, or controlled by a test."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds from an arbitrary start, and waiting until one of them."""

    def now(self) -> float: ...

    async def sleep_until(self, when: float) -> None: ...


class RunningClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        while (left := when - self.now()) > 0:
            await asyncio.sleep(left)


class ManualClock:
    """A clock that stands still until a test advances it."""

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
        """Advance the time, and wake everything that waited for it."""
        self._now += seconds
        while self._waiting and self._waiting[0][0] <= self._now:
            heapq.heappop(self._waiting)[2].set()
