"""The spool's limits: when it is full, reading stops, or the oldest batches that were never sent are dropped."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ..edge.metrics import Metrics
from ..edge.spool import SpoolStuckError
from .batch_queue import BatchQueue

log = structlog.get_logger(__name__)

REOPENED_SHARE = 0.95
"""After the spool was full, reading continues when it is down to this share of its limit."""

LOOK_EVERY_S = 0.02
"""Seconds between two looks at the room on the disk. What the spool itself takes does not change its capacity."""


class SpoolLimits:
    """Keeps the spool under its limit, and within the room on its disk."""

    def __init__(self, queue: BatchQueue, metrics: Metrics, limit_bytes: int, may_drop: Callable[[str], bool]) -> None:
        """Start with a spool that is not full.

        Args:
            queue: the batches, and the spool.
            metrics: told how full the spool is.
            limit_bytes: how many bytes the spool may hold.
            may_drop: whether the oldest batches of a job may be dropped when the spool is full.
        """
        self._queue, self._metrics, self._limit_bytes, self._may_drop = queue, metrics, limit_bytes, may_drop
        self._spool = queue.spool
        self.full = False
        """Whether the spool's limit is reached."""
        self._capacity = limit_bytes
        """How many bytes the disk can hold of it, when it was last looked at."""
        self._blind = False
        self._look_at = float("-inf")
        self.disk_full = False
        """Whether the disk is nearly full: nothing new is taken at all."""
        self._not_loadable: set[int] = set()
        """Queued batches that could not be dropped, because the spool does not hold them."""

    def enforce(self, now: float) -> bool:
        """Drop what has to be dropped, and return whether reading has to pause."""
        limit = self._limit_bytes
        if not self._queue.stuck:
            if now >= self._look_at:
                self._look(now)
            self.disk_full = self._spool.bytes >= self._capacity
            limit = max(1, min(limit, self._capacity))
        over = self._spool.bytes >= limit
        if over and not self._queue.stuck:
            self._drop_oldest(int(limit * REOPENED_SHARE), now)
            over = self._spool.bytes >= limit
        full = over or (self.full and self._spool.bytes >= limit * REOPENED_SHARE)
        if full != self.full:
            self.full = full
            if full:
                log.warning("the spool is full: reading pauses", bytes=self._spool.bytes, limit=limit)
        self._metrics.spool(self._spool.bytes, limit)
        return self.full or self._queue.stuck

    def _look(self, now: float) -> None:
        """Look how much room the disk has; where it cannot be asked, the last answer counts."""
        self._look_at = now + LOOK_EVERY_S
        try:
            self._capacity, self._blind = self._spool.capacity(), False
        except (OSError, SpoolStuckError) as error:
            if not self._blind:
                log.warning("the free space of the spool's disk cannot be read", error=str(error))
            self._blind = True

    def _drop_oldest(self, target: int, now: float) -> None:
        """Turn the oldest unsent batches into gaps, until the spool is under its limit."""
        while self._spool.bytes > target:
            if (oldest := self._queue.oldest_unsent(self._may_drop, self._not_loadable)) is None:
                return
            job_id, batch = oldest
            if not self._queue.drop(job_id, batch, now):
                # It would stay the oldest one for ever.
                self._not_loadable.add(batch.id)
                log.error("the spool does not hold a queued batch: it cannot be dropped", job=job_id, batch=batch.id)
                continue
            self._queue.commit(now)
            if self._queue.stuck:
                return
