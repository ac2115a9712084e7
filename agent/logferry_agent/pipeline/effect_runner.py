"""Carry out what the session asks for: one method an effect."""

from __future__ import annotations

import structlog

from logferry_protocol.events import GapReason

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
from ..edge.metrics import Metrics
from .batch_queue import BatchQueue
from .job_buffers import JobBuffers

log = structlog.get_logger(__name__)

JOB_EFFECTS = Acknowledged | SetAside | Reread | Park | Discard | Forget
"""The effects that concern a single job."""


class EffectRunner:
    """Carries out the session's effects."""

    def __init__(self, queue: BatchQueue, buffers: JobBuffers, metrics: Metrics) -> None:
        """Start.

        Args:
            queue: what is written and sent.
            buffers: the jobs.
            metrics: what the session observes.
        """
        self._queue, self._buffers, self._metrics = queue, buffers, metrics

    def run(self, effect: Effect, now: float) -> None:
        """Carry out one effect. What it writes and sends is scheduled for the next commit."""
        match effect:
            case SendBatches() | SendMessage():
                self._queue.send(effect)
            case Acknowledged():
                self._acknowledge(effect)
            case SetAside():
                self._queue.set_aside(effect.job, effect.batch, effect.reason, effect.message, now)
            case Reread():
                self._reread(effect, now)
            case Park():
                self._park(effect)
            case Discard():
                self._discard(effect)
            case Forget():
                self._buffers.forget(effect.job)
            case CloseConnection():
                self._queue.close_connection(effect.link)
            case Observation():
                self._observe(effect)

    def _acknowledge(self, effect: Acknowledged) -> None:
        buffer = self._buffers.by_id[effect.job]
        self._buffers.mark_accepted(buffer)
        self._queue.acknowledge(effect.job, effect.batches)
        self._buffers.save_progress(buffer)

    def _reread(self, effect: Reread, now: float) -> None:
        buffer = self._buffers.by_id[effect.job]
        log.warning("the job continues after the cloud's tip", job=effect.job, tip=effect.tip, cause=effect.cause)
        self._metrics.resynchronised(effect.cause)
        self._buffers.reset(buffer, effect.cursor)
        if buffer.ended:
            # Nothing can be read again: what the queue held beyond the cloud's tip is unknown, and a gap says so.
            reason: GapReason = "conflict" if effect.cause == "conflict" else "spool_lost"
            self._buffers.append_gap(buffer, reason, effect.cursor, "the container is gone", now)
            return
        self._buffers.reread(buffer, effect.cursor)

    def _park(self, effect: Park) -> None:
        problem = f"the cloud refuses the job: {effect.reason} {effect.message}".rstrip()
        self._buffers.mark_refused(self._buffers.by_id[effect.job], effect.reason, problem)
        log.warning("the cloud refuses a job", job=effect.job, reason=effect.reason, message=effect.message)

    def _discard(self, effect: Discard) -> None:
        log.warning("a job was deleted in the cloud: its lines are dropped from now on", job=effect.job)
        self._buffers.discard(self._buffers.by_id[effect.job])

    def _observe(self, effect: Observation) -> None:
        self._metrics.counted(effect)
        if effect.what in {"conflict", "rejected", "error"}:
            log.warning(f"the cloud answers {effect.what}", job=effect.job, detail=effect.detail)
