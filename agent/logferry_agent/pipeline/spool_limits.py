"""The spool's bounds: when it is full, reading stops, or the oldest that was never sent is dropped."""

from __future__ import annotations

from typing import Literal

import structlog

from ..core.batching.gap import build_gap_batch, measure_missing
from ..core.session.session import Session
from ..edge.metrics import Metrics
from ..edge.spool import Spool, SpoolStuckError
from .intake import Intake
from .job_buffers import Lane, Lanes
from .journal import Journal
from .outbox import Outbox
from .shelf import Shelf

log = structlog.get_logger(__name__)

REOPENED_SHARE = 0.95
"""After the spool was full, reading goes on when it is down to this share of its limit."""

LOOK_EVERY_S = 0.02
"""How much room the disk has is looked at so often; what the spool itself takes of it does not change its capacity."""

Policy = Literal["block", "drop-oldest"]


class Bounds:
    """Keeps the spool under its limit, and on its disk."""

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        *,
        lanes: Lanes,
        shelf: Shelf,
        outbox: Outbox,
        session: Session,
        intake: Intake,
        metrics: Metrics,
        limit_bytes: int,
        policy: Policy,
    ) -> None:
        self._spool, self._journal, self._lanes, self._shelf, self._outbox = spool, journal, lanes, shelf, outbox
        self._session, self._intake, self._metrics = session, intake, metrics
        self._limit_bytes, self._policy = limit_bytes, policy
        self.full = False
        """Whether the spool's limit is reached."""
        self._capacity = limit_bytes
        """At most so many bytes, as the disk was last seen."""
        self._blind = False
        self._look_at = float("-inf")
        self.disk_full = False
        """Whether the disk is as good as full: nothing new is taken at all."""

    def keep(self, now: float) -> None:
        """Look how full the spool is, and do what its policy says."""
        limit = self._limit_bytes
        if not self._journal.stuck:
            if now >= self._look_at:
                self._look(now)
            self.disk_full = self._spool.bytes >= self._capacity
            limit = max(1, min(limit, self._capacity))
        over = self._spool.bytes >= limit
        if over and not self._journal.stuck:
            self._drop_oldest(int(limit * REOPENED_SHARE), now, only_parked=self._policy == "block")
            over = self._spool.bytes >= limit
        full = over or (self.full and self._spool.bytes >= limit * REOPENED_SHARE)
        if full != self.full:
            self.full = full
            if full:
                log.warning("the spool is full: reading waits", bytes=self._spool.bytes, limit=limit)
        self._intake.set_closed(self.full or self._journal.stuck)
        self._metrics.spool(self._spool.bytes, limit)

    def _look(self, now: float) -> None:
        """See how much room the disk has; what was known before stands where it cannot be asked."""
        self._look_at = now + LOOK_EVERY_S
        try:
            self._capacity, self._blind = self._spool.capacity(), False
        except (OSError, SpoolStuckError) as error:
            if not self._blind:
                log.warning("the spool's disk cannot be asked for its room", error=str(error))
            self._blind = True

    def _drop_oldest(self, target: int, now: float, *, only_parked: bool) -> None:
        """Fold the oldest unsent batches into gaps, until the spool is under its limit."""
        while self._spool.bytes > target:
            oldest: tuple[int, Lane] | None = None
            for job in self._session.jobs.values():
                lane = self._lanes.by_id[job.id]
                if only_parked and not lane.parked:
                    continue
                ref = next((ref for ref in job.queue if ref.first is None and not ref.gap), None)
                if ref is not None and (oldest is None or ref.id < oldest[0]):
                    oldest = (ref.id, lane)
            if oldest is None:
                return
            self._drop(oldest[1], oldest[0], now)
            self._outbox.commit(now)
            if self._journal.stuck:
                return

    def _drop(self, lane: Lane, batch_id: int, now: float) -> None:
        stored = self._shelf.load(batch_id)
        if stored is None:
            return
        queue = list(self._session.jobs[lane.id].queue)
        index = next(index for index, ref in enumerate(queue) if ref.id == batch_id)
        ref, before = queue[index], queue[index - 1] if index else None
        missing = measure_missing(stored.batch)
        self._metrics.dropped("spool_full", missing.count)
        if before is not None and before.gap and before.first is None and before.id in lane.gaps:
            missing += self._shelf.fold(lane, before)
            del queue[index - 1]
        self._shelf.become_gap(lane, ref, build_gap_batch("spool_full", missing, stored.batch.cursor), missing)
        self._session.replace_queue(lane.id, queue, now)
