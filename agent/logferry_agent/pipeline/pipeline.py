"""The pipeline's single thread: chunks in, batches to the spool, envelopes out, acknowledgements back.

Everything that the batchers, the spool and the session hold belongs to this thread, so nothing here needs a lock. Each
turn of the loop takes what arrived, decides, writes all of it in one transaction, and only then sends. So a sequence is
always on disk before it is on the wire, and a batch is written together with the cursor after it.

When the disk accepts no more, nothing new is taken, and what is there is shipped (see `spool_writer.py`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from random import Random
from typing import Any

import structlog
from pydantic import ConfigDict, Field

from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.job import Container
from logferry_protocol.messages import TO_AGENT, decode

from ..core.batching.ports import Reader
from ..core.batching.processing import ProcessingOptions
from ..core.container.label_settings import ALL, LabelSettings, apply_label_settings
from ..core.parsing.engine_values import text
from ..core.session.effects import Effect
from ..core.session.session import Session
from ..edge.cloud_socket import Connected, Frame, LinkEvent, Lost
from ..edge.dead_letters import DeadLetters
from ..edge.metrics import Metrics
from ..edge.spool import Spool
from ..edge.spool_settings import SpoolSettings
from .batch_queue import BatchQueue, CloudLinks
from .effect_runner import JOB_EFFECTS, EffectRunner
from .intake import Arrival, ChunkOffered, Intake, JobAppeared, JobEnded, JobProblem
from .job_buffers import JobBuffer, JobBuffers
from .job_isolation import JobIsolation
from .open_batches import OpenBatches
from .recovery import recover
from .spool_limits import SpoolLimits

log = structlog.get_logger(__name__)

INTAKE_BYTES = 2 * 1024 * 1024
"""How many bytes of chunks may wait between readers and this thread."""

TURN_BYTES = 128 * 1024
"""How many bytes of chunks one turn takes, so that acknowledgements never wait long behind parsing."""

WRITE_EVERY_S = 0.02
"""While there is more to do, what was read is written together with what is sent next, after this many seconds at the
latest. A transaction of its own for each batch would cost more than the batch."""


class PipelineSettings(SpoolSettings):
    """What the pipeline needs: the agent's settings of the spool, and those of the lines."""

    model_config = ConfigDict(extra="forbid")

    processing: ProcessingOptions = Field(default_factory=ProcessingOptions)
    allow_labels: tuple[str, ...] = ALL
    """What a container may set by a label: names of `core.container.label_settings.ALL`."""

    @classmethod
    def of(cls, settings: SpoolSettings, **more: Any) -> PipelineSettings:
        """Return the agent's settings of the spool, with what only this class has."""
        return cls(**{name: getattr(settings, name) for name in SpoolSettings.model_fields}, **more)


class Pipeline:
    """Takes chunks from readers, and brings them to the cloud through the spool."""

    def __init__(
        self, spool: Spool, instance: str, settings: PipelineSettings, metrics: Metrics, *, rng: Random | None = None
    ) -> None:
        """Take up what the last run left in the spool.

        Args:
            spool: the engine's spool.
            instance: the engine's id.
            settings: limits and processing.
            metrics: the agent's metrics.
            rng: the randomness of request ids and delays.
        """
        self._metrics = metrics
        self._wake = threading.Event()
        self.intake = Intake(INTAKE_BYTES, self._wake.set)
        self.session = Session(instance, rng or Random(), answer_timeout_s=settings.answer_timeout)  # noqa: S311
        self._events: deque[LinkEvent] = deque()
        self._queue = BatchQueue(spool, self.session, DeadLetters(spool.folder / "rejected"), metrics)

        def settings_of(container: Container) -> LabelSettings:
            return apply_label_settings(settings.processing, container.labels, settings.allow_labels)

        self._buffers = JobBuffers(self._queue, self.session, self.intake, metrics, settings_of)
        self._open_batches = OpenBatches(self._queue, self._buffers, self.session, metrics, settings.flush_interval)
        self._isolation = JobIsolation(self._buffers, metrics)
        self._effects = EffectRunner(self._queue, self._buffers, metrics)
        # Where the policy is to stop reading, only batches of jobs that the cloud refuses are dropped.
        may_drop = self._buffers.is_refused if settings.spool_policy == "block" else _any_job
        self._limits = SpoolLimits(self._queue, metrics, settings.spool_limit, may_drop)
        self._write_by = 0.0
        self._stop_by = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self.failure: BaseException | None = None
        """Why the thread ended without being asked to."""
        self.intake.restore(
            recover(
                self._queue,
                self._buffers,
                self._open_batches,
                self.session,
                guard=self._isolation.guard,
                now=time.monotonic(),
            )
        )

    # --- for the agent ------------------------------------------------------------------------------------------

    def attach(self, links: CloudLinks, reader: Reader) -> None:
        """Set the connections to send on, and the reader that reads jobs again."""
        self._queue.links, self.intake.reader = links, reader

    def start(self, links: CloudLinks, reader: Reader) -> None:
        """Start the thread."""
        self.attach(links, reader)
        self._thread.start()

    def post(self, event: LinkEvent) -> None:
        """Hand over what happened on a connection; from any thread."""
        self._events.append(event)
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Ship what is there, then stop.

        Args:
            timeout_s: how long to ship, in seconds.

        Returns:
            False when something was left for the next start.
        """
        self._stop_by = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s + 5)
        return self._drained

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def stuck(self) -> bool:
        """Whether the spool's disk accepts nothing."""
        return self._queue.stuck

    @property
    def full(self) -> bool:
        """Whether the spool's limit is reached."""
        return self._limits.full

    @property
    def buffers(self) -> dict[str, JobBuffer]:
        """The jobs in the pipeline."""
        return self._buffers.by_id

    def parked(self) -> list[str]:
        """Return for the operator which jobs are parked, and why; from any thread, so a moment old."""
        return self._buffers.parked()

    def lag(self) -> list[tuple[str, str, int | None]]:
        """Return of each job its id, its name, and the time of its oldest entry that is not acknowledged.

        From any thread, so a moment old.
        """
        return self._buffers.lag()

    def report(self) -> list[dict[str, Any]]:
        """Return every job for the status page; from any thread, so a moment old."""
        return self._buffers.report(time.monotonic())

    # --- the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._finished():
                if not self._wake.is_set():
                    self._wake.wait(self._idle_time(time.monotonic()))
                self._wake.clear()
                self.turn(time.monotonic())
        except BaseException as error:
            self.failure = error
            log.exception("the pipeline failed")

    def turn(self, now: float) -> None:
        """Do everything that can be done now."""
        self._open_batches.hurried = self._stopping.is_set()
        self._handle_events(now)
        if self._queue.sending:
            self._queue.commit(now)
        if not self._queue.stuck:
            if not self._limits.disk_full:
                self._take_arrivals(now)
            self._isolation.guard_all(self._open_batches.due(now), now)
            self._isolation.resume(now)
        for effect in self._queue.take_refused():
            self._run_effect(effect, now)
        self.session.advance(now)
        self._run_effects(now)
        if self._queue.sending or now >= self._write_by or not self._busy:
            self._queue.commit(now)
            self.intake.set_closed(self._limits.enforce(now))
            self._write_by = now + WRITE_EVERY_S
        if self._busy:
            self._wake.set()

    @property
    def _busy(self) -> bool:
        """Whether there is more to do at once."""
        return bool(self._events) or (self.intake.pending and not (self._queue.stuck or self._limits.disk_full))

    @property
    def _drained(self) -> bool:
        """Whether everything that was read is acknowledged."""
        queued = any(job.queue for job in self.session.jobs.values())
        return not (queued or self.intake.pending) and self._open_batches.empty and self._queue.empty

    def _finished(self) -> bool:
        if not self._stopping.is_set():
            return False
        now = time.monotonic()
        if self._drained or now >= self._stop_by:
            self._isolation.guard_all(self._open_batches.unsaved(), now)
            self.session.report_before_exit(now)
            self._run_effects(now)
            self._queue.commit(now)
            return True
        return False

    def _idle_time(self, now: float) -> float | None:
        """Return for how many seconds nothing will be due; None when nothing is due at all."""
        moments = [self._queue.stuck_until, self.session.deadline()]
        if not self._queue.stuck:
            moments += [*self._open_batches.deadlines(now), *self._isolation.deadlines()]
        if self._stopping.is_set():
            moments.append(self._stop_by)
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - now) if known else None

    # --- from the cloud -----------------------------------------------------------------------------------------

    def _handle_events(self, now: float) -> None:
        while self._events:
            event = self._events.popleft()
            match event:
                case Frame():
                    self._received(event, now)
                case Connected():
                    self.session.connected(event.link, now)
                case Lost():
                    self.session.lost(event.link, now)
        self._run_effects(now)

    def _received(self, frame: Frame, now: float) -> None:
        try:
            message = decode(frame.text, TO_AGENT)
        except MalformedMessageError:
            message = None
        try:
            self.session.received(frame.link, message, now)
        except Exception:
            # The session can no longer tell what the connection's answers refer to: the next connection starts afresh.
            log.exception("answer_failed", link=frame.link)
            self._queue.close_connection(frame.link)
            self.session.lost(frame.link, now)

    def _run_effects(self, now: float) -> None:
        """Carry out what the session asks for, and what it asks for as a result."""
        while effects := self.session.effects():
            for effect in effects:
                self._run_effect(effect, now)

    def _run_effect(self, effect: Effect, now: float) -> None:
        if isinstance(effect, JOB_EFFECTS):
            self._isolation.guard(effect.job, partial(self._effects.run, effect, now), now)
        else:
            self._effects.run(effect, now)

    # --- from readers -------------------------------------------------------------------------------------------

    def _take_arrivals(self, now: float) -> None:
        """Take at most `TURN_BYTES` of what arrived to the jobs that it is about."""
        for arrival in self.intake.take(TURN_BYTES):
            job_id = arrival.job.id if isinstance(arrival, JobAppeared) else arrival.job_id
            self._isolation.guard(job_id, partial(self._handle_arrival, arrival, now), now)

    def _handle_arrival(self, arrival: Arrival, now: float) -> None:
        match arrival:
            case ChunkOffered():
                self._take_chunk(arrival, now)
            case JobAppeared():
                self._buffers.appear(arrival.job, now)
            case JobEnded():
                self._end_job(arrival.job_id, now)
            case JobProblem():
                buffer = self._buffers.by_id.get(arrival.job_id)
                if buffer is not None and not buffer.failures:
                    buffer.problem = text(arrival.problem) or None
                    self._buffers.update(buffer, now)

    def _take_chunk(self, offered: ChunkOffered, now: float) -> None:
        buffer = self._buffers.by_id.get(offered.job_id)
        if buffer is None or buffer.retry_at is not None or not self.intake.current(offered):
            return
        self._metrics.read(offered.chunk, buffer.life.source or "none")
        if buffer.discarded:
            self._metrics.dropped("deleted", offered.chunk.count)
            return
        self._open_batches.take(buffer, offered.chunk, offered.begin, now)

    def _end_job(self, job_id: str, now: float) -> None:
        buffer = self._buffers.by_id.get(job_id)
        if buffer is None or buffer.ended:
            return
        buffer.ended = True
        # Closing its open batch may be what fails: the job ends all the same, with a gap.
        self._isolation.guard(job_id, partial(self._open_batches.finish, buffer, now), now)
        self._isolation.finish(buffer, now)
        if self._buffers.save_description(buffer):
            self.session.end(job_id, now)


def _any_job(_job_id: str) -> bool:
    return True
