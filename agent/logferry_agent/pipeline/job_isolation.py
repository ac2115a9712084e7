"""Keeps an error of ours that one job meets from all others.

What was read of the job and not closed yet is given up, and is read again after a while: its log is the buffer, and
nothing is lost by that. While it fails again the waits grow. Its status and the agent's health say so. Errors of the
spool are not of a job, and pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from ..core.batching.gap import MissingEntries, build_gap_batch
from ..core.batching.ports import Reader
from ..edge.metrics import Metrics
from ..edge.spool import SpoolError
from .intake import Intake
from .job_buffers import Lane, Lanes
from .open_batches import Gathering
from .shelf import Shelf

log = structlog.get_logger(__name__)

RETRY_S: Final = (1.0, 10.0, 60.0)
"""How long a job is left alone after its first failure in a row, its second, and each further one."""
PROBLEM: Final = "its lines cannot be processed: the agent's own log says why; they are read again later"
_GIVEN_UP: Final = "these lines could not be processed, and the container is gone"


class Isolation:
    """Parks jobs that fail, and takes them up again."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        gathering: Gathering,
        shelf: Shelf,
        intake: Intake,
        metrics: Metrics,
    ) -> None:
        self._lanes, self._gathering, self._shelf, self._intake = lanes, gathering, shelf, intake
        self._metrics = metrics
        self._parked: dict[str, Lane] = {}
        self.reader: Reader | None = None
        """Set when the pipeline starts."""

    def guard(self, job_id: str, does: Callable[[], None], now: float) -> None:
        """Do something for a job; an error parks it.

        Raises:
            SpoolError: the spool is what failed.
        """
        try:
            does()
        except SpoolError:
            raise
        except Exception:
            log.exception("job_failed", job=job_id)
            if (lane := self._lanes.by_id.get(job_id)) is not None:
                self._park(lane, now)

    def moments(self) -> list[float | None]:
        """Return when jobs are to be taken up again."""
        return [lane.retry_at for lane in self._parked.values()]

    def resume(self, now: float) -> None:
        """Take up again what waited long enough."""
        for lane in [lane for lane in self._parked.values() if lane.retry_at is not None and lane.retry_at <= now]:
            del self._parked[lane.id]
            lane.retry_at = None
            if lane.id not in self._lanes.by_id:
                continue
            log.info("job_resumed", job=lane.id, failures=lane.failures)
            position = self._intake.reposition(lane.id, lane.cursor)
            if self.reader is not None:
                self.reader.reread(lane.id, position)

    def finish(self, lane: Lane, now: float) -> None:
        """Nothing more can be read of a job: what was given up of it is missing for good."""
        if lane.failures:
            at = time.time_ns() // 1_000
            missing = MissingEntries(0, 0, at, at)
            self._shelf.put(lane, build_gap_batch("corrupt", missing, lane.cursor or "", _GIVEN_UP), now, missing)
            self._parked.pop(lane.id, None)
            lane.retry_at, lane.failures = None, 0

    def _park(self, lane: Lane, now: float) -> None:
        lane.failures += 1
        lane.retry_at = now + RETRY_S[min(lane.failures, len(RETRY_S)) - 1]
        lane.problem = PROBLEM
        self._metrics.refused("failed")
        self._gathering.clear(lane, lane.cursor)
        self._gathering.drop_pieces(lane.id)
        self._gathering.drop_held(lane.id)
        # What readers still offer is void; they are told where to go on when the wait is over.
        self._intake.reposition(lane.id, lane.cursor)
        self._parked[lane.id] = lane
        if lane.ended:
            self.finish(lane, now)
        self._lanes.changed(lane, now)
