"""What readers say, brought to the jobs that it is about."""

from __future__ import annotations

from ..core.session import Session
from ..edge.metrics import Metrics
from .gathering import Gathering
from .intake import Appeared, Ended, Intake, Offered, Troubled
from .lanes import Lanes

TURN_BYTES = 128 * 1024
"""What one turn takes, so that acknowledgements never wait long behind parsing."""


class Arriving:
    """Empties the intake, a turn's worth at a time."""

    def __init__(self, intake: Intake, lanes: Lanes, gathering: Gathering, session: Session, metrics: Metrics) -> None:
        self._intake, self._lanes, self._gathering = intake, lanes, gathering
        self._session, self._metrics = session, metrics

    def take(self, now: float) -> None:
        """Take a turn's worth of what came in."""
        for arrival in self._intake.take(TURN_BYTES):
            match arrival:
                case Offered():
                    self._offered(arrival, now)
                case Appeared():
                    self._lanes.appear(arrival.job, now)
                case Ended():
                    self._ended(arrival.job_id, now)
                case Troubled():
                    if (lane := self._lanes.by_id.get(arrival.job_id)) is not None:
                        lane.problem = arrival.problem
                        self._lanes.changed(lane, now)

    def _offered(self, offered: Offered, now: float) -> None:
        lane = self._lanes.by_id.get(offered.job_id)
        if lane is None or not self._intake.current(offered):
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
        self._gathering.finish(lane, now)
        if self._lanes.describe(lane) is not None:
            self._session.end(job_id, now)
