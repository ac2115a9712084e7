"""The pipeline's one thread: chunks in, batches to the spool, envelopes out, acknowledgements back.

Everything that the batchers, the spool and the session hold belongs to this thread, so nothing here needs a lock. A
turn of the loop takes what came in, decides, writes all of it in one transaction, and only then sends: a sequence is
always on disk before it is on the wire, and a batch together with the cursor after it.

When the disk takes no more, nothing new is taken, and what is there is shipped (see journal.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

import structlog

from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.messages import TO_AGENT, decode

from ..core.batching.ports import Reader
from ..core.batching.processing import ProcessingOptions
from ..core.container.label_settings import ALL
from ..core.session.session import Session
from ..edge.cloud_socket import Connected, Frame, LinkEvent, Lost
from ..edge.container_reader import FAILED
from ..edge.dead_letters import DeadLetters
from ..edge.metrics import Metrics
from ..edge.spool import Spool
from .arriving import Arriving
from .effect_runner import Carrying
from .intake import Intake
from .job_buffers import Lane, Lanes
from .job_isolation import Isolation
from .journal import Journal
from .open_batches import Gathering
from .outbox import Links, Outbox
from .quarantine import Quarantine
from .recovery import restore
from .reporting import lag, report
from .shelf import Shelf
from .spool_limits import Bounds, Policy

log = structlog.get_logger(__name__)

INTAKE_BYTES = 2 * 1024 * 1024
"""What may wait between readers and this thread."""

WRITE_EVERY_S = 0.02
"""While there is more to do, what was read is written together with what is sent next, at the latest after so long: a
transaction of its own for each batch would cost more than the batch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How the pipeline is bounded."""

    spool_bytes: int = 1 << 30
    policy: Policy = "block"
    flush_interval_s: float = 30.0
    answer_timeout_s: float = 10.0
    processing: ProcessingOptions = field(default_factory=ProcessingOptions)
    allow_labels: Collection[str] = ALL


class Shipper:
    """The pipeline."""

    def __init__(
        self, spool: Spool, instance: str, limits: Limits, metrics: Metrics, *, rng: Random | None = None
    ) -> None:
        self._wake = threading.Event()
        self.intake = Intake(INTAKE_BYTES, self._wake.set)
        self.session = Session(instance, rng or Random(), answer_timeout_s=limits.answer_timeout_s)  # noqa: S311
        self._events: deque[LinkEvent] = deque()
        self._journal = Journal(spool)
        self._lanes = Lanes(spool, self._journal, self.session, limits.processing, limits.allow_labels, metrics=metrics)
        shelf = Shelf(spool, self._journal, self.session)
        quarantine = Quarantine(DeadLetters(spool.folder / "rejected"), metrics)
        self._gathering = Gathering(
            spool,
            self._journal,
            shelf=shelf,
            session=self.session,
            metrics=metrics,
            lanes=self._lanes,
            quarantine=quarantine,
            flush_interval_s=limits.flush_interval_s,
            merge_wait_s=limits.processing.merge_wait_s,
        )
        self._isolation = Isolation(
            lanes=self._lanes,
            gathering=self._gathering,
            shelf=shelf,
            intake=self.intake,
            metrics=metrics,
        )
        self._gathering.guard = self._isolation.guard
        self._arriving = Arriving(
            self.intake,
            lanes=self._lanes,
            gathering=self._gathering,
            isolation=self._isolation,
            session=self.session,
            metrics=metrics,
        )
        self._outbox = Outbox(self._journal, shelf, metrics)
        self._carrying = Carrying(
            self.session,
            lanes=self._lanes,
            shelf=shelf,
            gathering=self._gathering,
            journal=self._journal,
            outbox=self._outbox,
            intake=self.intake,
            quarantine=quarantine,
            isolation=self._isolation,
            metrics=metrics,
        )
        self._bounds = Bounds(
            spool,
            self._journal,
            lanes=self._lanes,
            shelf=shelf,
            outbox=self._outbox,
            session=self.session,
            intake=self.intake,
            metrics=metrics,
            limit_bytes=limits.spool_bytes,
            policy=limits.policy,
        )
        self._write_by = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self.failure: BaseException | None = None
        """Why the thread ended, when it was not asked to."""
        restore(
            spool,
            lanes=self._lanes,
            shelf=shelf,
            gathering=self._gathering,
            session=self.session,
            intake=self.intake,
            quarantine=quarantine,
            isolation=self._isolation,
            now=time.monotonic(),
        )

    # --- for the composition ------------------------------------------------------------------------------------

    def attach(self, links: Links, reader: Reader) -> None:
        """Have these to send and to read with."""
        self._outbox.links, self._carrying.reader, self._isolation.reader = links, reader, reader

    def start(self, links: Links, reader: Reader) -> None:
        """Begin to work."""
        self.attach(links, reader)
        self._thread.start()

    def post(self, event: LinkEvent) -> None:
        """Something happened on a connection; from any thread."""
        self._events.append(event)
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """SendBatches what is there for at most so long, then end; False when something was left for the next start."""
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
        """Whether the spool's disk takes nothing."""
        return self._journal.stuck

    @property
    def full(self) -> bool:
        """Whether the spool's limit is reached."""
        return self._bounds.full

    @property
    def lanes(self) -> dict[str, Lane]:
        """The jobs in the pipeline."""
        return self._lanes.by_id

    def parked(self) -> list[str]:
        """Jobs that nothing is shipped of for now, and why, for a person; from any thread, so a moment old."""
        lanes = [
            lane for lane in list(self._lanes.by_id.values()) if lane.parked or lane.failures or lane.problem == FAILED
        ]
        return [f"{lane.container.name or lane.id[:12]}: {lane.problem}" for lane in lanes]

    def lag(self) -> list[tuple[str, str, int | None]]:
        """(job, name, time of its oldest entry that is not acknowledged); from any thread, so a moment old."""
        return lag(self._lanes, self.session)

    def report(self) -> list[dict[str, Any]]:
        """Every job for a person; from any thread, so a moment old."""
        return report(self._lanes, self.session, time.monotonic())

    # --- the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._finished():
                if not self._wake.is_set():
                    self._wake.wait(self._patience(time.monotonic()))
                self._wake.clear()
                self.turn(time.monotonic())
        except BaseException as error:
            self.failure = error
            log.exception("the pipeline failed")

    def turn(self, now: float) -> None:
        """Do all that can be done now."""
        self._gathering.hurried = self._stopping.is_set()
        self._answers(now)
        if self._journal.sending:
            self._outbox.commit(now)
        if not self._journal.stuck:
            if not self._bounds.disk_full:
                self._arriving.take(now)
            self._gathering.pass_time(now)
            self._isolation.resume(now)
        self._carrying.set_refused_aside(now)
        self.session.advance(now)
        self._carrying.carry_out(now)
        if self._journal.sending or now >= self._write_by or not self._busy:
            self._outbox.commit(now)
            self._bounds.keep(now)
            self._write_by = now + WRITE_EVERY_S
        if self._busy:
            self._wake.set()

    @property
    def _busy(self) -> bool:
        """Whether there is more to do at once."""
        return bool(self._events) or (self.intake.pending and not (self._journal.stuck or self._bounds.disk_full))

    def _answers(self, now: float) -> None:
        while self._events:
            event = self._events.popleft()
            match event:
                case Frame():
                    self._received(event, now)
                case Connected():
                    self.session.connected(event.link, now)
                case Lost():
                    self.session.lost(event.link, now)
        self._carrying.carry_out(now)

    def _received(self, frame: Frame, now: float) -> None:
        try:
            message = decode(frame.text, TO_AGENT)
        except MalformedMessageError:
            message = None
        try:
            self.session.received(frame.link, message, now)
        except Exception:
            # What is said on the connection cannot be followed any more: the next one begins anew.
            log.exception("answer_failed", link=frame.link)
            self._outbox.hang_up(frame.link)
            self.session.lost(frame.link, now)

    @property
    def _drained(self) -> bool:
        """Whether all that was read is acknowledged."""
        queued = any(job.queue for job in self.session.jobs.values())
        return not (queued or self.intake.pending) and self._gathering.empty and self._journal.empty

    def _finished(self) -> bool:
        if not self._stopping.is_set():
            return False
        now = time.monotonic()
        if self._drained or now >= self._stop_by:
            self._gathering.save_all(now)
            self.session.report_before_exit(now)
            self._carrying.carry_out(now)
            self._outbox.commit(now)
            return True
        return False

    def _patience(self, now: float) -> float | None:
        """How long nothing will happen by itself."""
        moments = [self._journal.stuck_until, self.session.deadline()]
        if not self._journal.stuck:
            moments += [*self._gathering.moments(now), *self._isolation.moments()]
        if self._stopping.is_set():
            moments.append(self._stop_by)
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - now) if known else None
