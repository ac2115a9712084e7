"""What readers say, brought to the jobs that it is about."""

from __future__ import annotations

from functools import partial

from ..core.parsing.engine_values import text
from ..core.session.session import Session
from ..edge.metrics import Metrics
from .intake import Appeared, Arrival, Ended, Intake, Offered, Troubled
from .job_buffers import Lanes
from .job_isolation import Isolation
from .open_batches import Gathering

TURN_BYTES = 128 * 1024
"""What one turn takes, so that acknowledgements never wait long behind parsing."""


class Arriving:
    """Empties the intake, a turn's worth at a time."""

    def __init__(
        self,
        intake: Intake,
        *,
        lanes: Lanes,
        gathering: Gathering,
        isolation: Isolation,
        session: Session,
        metrics: Metrics,
    ) -> None:
        self._intake, self._lanes, self._gathering, self._isolation = intake, lanes, gathering, isolation
        self._session, self._metrics = session, metrics

    def take(self, now: float) -> None:
        """Take a turn's worth of what came in."""
        for arrival in self._intake.take(TURN_BYTES):
            job_id = arrival.job.id if isinstance(arrival, Appeared) else arrival.job_id
            self._isolation.guard(job_id, partial(self._arrived, arrival, now), now)

    def _arrived(self, arrival: Arrival, now: float) -> None:
        match arrival:
            case Offered():
                self._offered(arrival, now)
            case Appeared():
                self._lanes.appear(arrival.job, now)
            case Ended():
                self._ended(arrival.job_id, now)
            case Troubled():
                if (lane := self._lanes.by_id.get(arrival.job_id)) is not None and not lane.failures:
                    lane.problem = text(arrival.problem) or None
                    self._lanes.changed(lane, now)

    def _offered(self, offered: Offered, now: float) -> None:
        lane = self._lanes.by_id.get(offered.job_id)
        if lane is None or lane.retry_at is not None or not self._intake.current(offered):
            return
        self._metrics.read(offered.chunk, lane.life.source or "none")
        if lane.discarded:
            self._metrics.dropped("deleted", offered.chunk.count)
            return
        self._gathering.take(lane, offered.chunk, offered.begin, now)

    def _ended(self, job_id: str, now: float) -> None:
        lane = self._lanes.by_id.get(job_id)
        if lane is None or lane.ended:
            return
        lane.ended = True
        # What is open of it may be what fails: the job ends all the same, with a gap.
        self._isolation.guard(job_id, partial(self._gathering.finish, lane, now), now)
        self._isolation.finish(lane, now)
        if self._lanes.describe(lane) is not None:
            self._session.end(job_id, now)
