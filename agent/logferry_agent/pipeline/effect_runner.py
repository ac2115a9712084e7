"""Carries out what the session asks for: one method an effect.

What is written by it goes through the journal, and what is sent waits there until that is on the disk.
"""

from __future__ import annotations

import time
from functools import partial

import structlog

from logferry_protocol.events import GapReason

from ..core.batching.gap import MissingEntries, build_gap_batch
from ..core.batching.ports import Reader
from ..core.session.effects import (
    Acknowledged,
    CloseConnection,
    Discard,
    Effect,
    Forget,
    Observation,
    Park,
    Reread,
    SendBatches,
    SendMessage,
    SetAside,
)
from ..core.session.session import Session
from ..edge.metrics import Metrics
from .intake import Intake
from .job_buffers import Lane, Lanes
from .job_isolation import Isolation
from .journal import Journal
from .open_batches import Gathering
from .outbox import Outbox
from .quarantine import Quarantine
from .shelf import Shelf

log = structlog.get_logger(__name__)


class Carrying:
    """The session's hands."""

    def __init__(
        self,
        session: Session,
        *,
        lanes: Lanes,
        shelf: Shelf,
        gathering: Gathering,
        journal: Journal,
        outbox: Outbox,
        intake: Intake,
        quarantine: Quarantine,
        isolation: Isolation,
        metrics: Metrics,
    ) -> None:
        self._session, self._lanes, self._shelf, self._gathering = session, lanes, shelf, gathering
        self._journal, self._outbox, self._intake = journal, outbox, intake
        self._quarantine, self._isolation, self._metrics = quarantine, isolation, metrics
        self.reader: Reader | None = None
        """Set when the pipeline starts."""

    def carry_out(self, now: float) -> None:
        """Do all that the session asks for, and what it asks for because of that."""
        while effects := self._session.effects():
            for effect in effects:
                if isinstance(effect, Acknowledged | SetAside | Reread | Park | Discard | Forget):
                    self._isolation.guard(effect.job, partial(self._do, effect, now), now)
                else:
                    self._do(effect, now)

    def set_refused_aside(self, now: float) -> None:
        """Let gaps take the place of batches that no message could carry."""
        refused, self._outbox.refused = self._outbox.refused, []
        for job_id, ref in refused:
            effect = SetAside(job_id, ref, "malformed", "no message can carry what the spool holds of it")
            if not ref.gap and (job := self._session.jobs.get(job_id)) is not None and ref in job.queue:
                self._isolation.guard(job_id, partial(self._do, effect, now), now)

    def _do(self, effect: Effect, now: float) -> None:
        match effect:
            case SendBatches():
                for _, ref in effect.batches:
                    self._shelf.assign(ref)
                self._journal.send(effect)
            case SendMessage():
                self._journal.send(effect)
            case Acknowledged():
                self._acknowledged(effect)
            case SetAside():
                self._set_aside(effect, now)
            case Reread():
                self._reread(effect, now)
            case Park():
                self._park(effect)
            case Discard():
                self._discard(effect)
            case Forget():
                self._forget(effect)
            case CloseConnection():
                self._outbox.hang_up(effect.link)
            case Observation():
                self._metrics.counted(effect)
                if effect.what in {"conflict", "rejected", "error"}:
                    log.warning(f"the cloud says {effect.what}", job=effect.job, detail=effect.detail)

    def _acknowledged(self, effect: Acknowledged) -> None:
        lane = self._lanes.by_id[effect.job]
        if lane.parked:
            lane.parked, lane.problem = False, None
        for ref in effect.batches:
            self._shelf.remove(lane, ref)
            self._metrics.acknowledged(ref)
        self._lanes.advance(lane)

    def _set_aside(self, effect: SetAside, now: float) -> None:
        ref, lane = effect.batch, self._lanes.by_id[effect.job]
        if (stored := self._shelf.load(ref.id)) is None:
            return
        gap, missing = self._quarantine.set_aside(stored, effect.reason, effect.message)
        self._shelf.become_gap(lane, ref, gap, missing)
        self._session.replace_queue(effect.job, self._session.jobs[effect.job].queue, now)

    def _reread(self, effect: Reread, now: float) -> None:
        """Take the cloud's word for where a job stands."""
        lane = self._lanes.by_id[effect.job]
        log.warning("the cloud's place is taken", job=effect.job, tip=effect.tip, cause=effect.cause)
        self._metrics.resynchronised(effect.cause)
        self._empty(lane, effect.cursor)
        lane.cursor = effect.cursor
        self._lanes.replace(lane)
        if lane.ended:
            # Nothing can be read again: what the queue held beyond the cloud is unknown, and is said to be.
            at = time.time_ns() // 1000
            missing = MissingEntries(0, 0, at, at)
            reason: GapReason = "conflict" if effect.cause == "conflict" else "spool_lost"
            gap = build_gap_batch(reason, missing, effect.cursor or "", "the container is gone")
            self._shelf.put(lane, gap, now, missing)
            return
        position = self._intake.reposition(lane.id, effect.cursor)
        if self.reader is not None:
            self.reader.reread(lane.id, position)

    def _park(self, effect: Park) -> None:
        lane = self._lanes.by_id[effect.job]
        lane.parked = True
        lane.problem = f"the cloud refuses the job: {effect.reason} {effect.message}".rstrip()
        self._metrics.refused(effect.reason)
        log.warning("the cloud refuses a job", job=effect.job, reason=effect.reason, message=effect.message)

    def _discard(self, effect: Discard) -> None:
        lane = self._lanes.by_id[effect.job]
        log.warning("a job was deleted in the cloud: its lines are dropped from now on", job=lane.id)
        lane.discarded = True
        self._empty(lane, lane.cursor)

    def _forget(self, effect: Forget) -> None:
        self._gathering.forget(effect.job)
        self._intake.forget(effect.job)
        self._metrics.forget(effect.job)
        self._lanes.forget(effect.job)

    def _empty(self, lane: Lane, cursor: str | None) -> None:
        """Give up all that is read and not acknowledged of a job; it goes on after a cursor."""
        self._gathering.clear(lane, cursor)
        self._shelf.clear(lane)
