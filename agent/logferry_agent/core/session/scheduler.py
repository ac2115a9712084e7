"""Hold all jobs, change their states, and decide what to send to the cloud next.

Every change of a job's state happens here, by the table in `core/session/job_state.py`. Nothing here sends anything.
What a change requires of the pipeline (park, discard or forget a job, delete durable batches) is emitted as an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from logferry_protocol.backoff import RECONNECT
from logferry_protocol.errors import ErrorCode, RejectReason

from .connections import Connections
from .effects import Acknowledged, Discard, Effect, Forget, Park
from .job_record import JobRecord, QueuedBatch
from .job_state import TRANSITIONS, JobEvent, JobState
from .timers import Timers

PARKED_S = 60.0
"""How long to leave a job alone that the cloud refuses, in seconds."""

STATUS_EVERY_S = 300.0
"""How often to report a job that only grew, in seconds."""

ENDED_STATUS_S = 1.0
"""The same for a job whose container does not run. Not at once: the rest of its log may go in many batches, and a
status would follow each of them."""


class Scheduler:
    """The jobs, and what is due for each."""

    def __init__(self, connections: Connections, timers: Timers, rng: Random, emit: Callable[[Effect], None]) -> None:
        """Start without jobs.

        Args:
            connections: the open connections.
            timers: where waits are set.
            rng: the randomness of the delays between attempts.
            emit: takes each effect.
        """
        self._connections, self._timers, self._rng, self._emit = connections, timers, rng, emit
        self.jobs: dict[str, JobRecord] = {}
        self.to_open: dict[str, None] = {}
        """Closed jobs, in the order in which they were closed."""
        self.to_send: dict[str, None] = {}
        """Ready jobs with a queued batch."""
        self.to_report: dict[str, None] = {}
        """Jobs with a status that the cloud does not know yet."""

    def records(self, job_ids: Iterable[str]) -> list[JobRecord]:
        """Return the jobs of these ids."""
        return [self.jobs[job_id] for job_id in job_ids]

    def add(self, job: JobRecord) -> None:
        """Add a job, which is closed."""
        self.jobs[job.id] = job
        self.to_open[job.id] = None

    # --- states -------------------------------------------------------------------------------------------------

    def transition(self, job: JobRecord, event: JobEvent) -> None:
        """Change a job's state as the table says.

        Raises:
            KeyError: the table does not allow the event in the job's state.
        """
        job.state = TRANSITIONS[job.state][event]
        if job.state not in {JobState.OPENING, JobState.SENDING}:
            job.request = None
        if job.state is JobState.CLOSED:
            job.link = None
            self.to_open[job.id] = None
        if job.state is not JobState.READY:
            self.to_send.pop(job.id, None)

    def mark_opening(self, job: JobRecord, link: int, request_id: str) -> None:
        """Record that an `open` with the job is being sent."""
        del self.to_open[job.id]
        self.transition(job, JobEvent.OPEN)
        job.link, job.request = link, request_id
        job.opened_as = job.container

    def mark_sending(self, job: JobRecord, batch: QueuedBatch, request_id: str, now: float) -> None:
        """Record that an envelope with the head of the job's queue is being sent, and give that batch its sequence."""
        self.transition(job, JobEvent.SEND)
        job.request, job.sent_at = request_id, now
        batch.first = job.tip + 1

    def retry(self, job: JobRecord, now: float) -> None:
        """Repeat the current step after a delay."""
        self.transition(job, JobEvent.RETRY)
        self._wait(job, now)
        self.schedule_send(job)

    def reopen(self, job: JobRecord, now: float) -> None:
        """Open a job again to learn the cloud's tip: the first time without a delay, as the answer settles it."""
        self.transition(job, JobEvent.REOPEN)
        if job.attempt:
            self._wait(job, now)
        job.attempt += 1

    def park(self, job: JobRecord, reason: ErrorCode | RejectReason, message: str, now: float) -> None:
        """Leave a job that the cloud refuses alone for `PARKED_S`."""
        self.transition(job, JobEvent.REFUSED)
        job.not_before = now + PARKED_S
        self._timers.set(job.not_before, "job", job.id)
        self._emit(Park(job.id, reason, message))

    def wait_over(self, job_id: str, now: float) -> None:
        """Take a parked job up again when its wait is over."""
        job = self.jobs.get(job_id)
        if job is not None and job.state is JobState.PARKED and now >= job.not_before:
            self.transition(job, JobEvent.DUE)

    def discard(self, job: JobRecord) -> None:
        """Give up a job that was deleted in the cloud."""
        self.transition(job, JobEvent.DELETED)
        job.queue.clear()
        self._emit(Discard(job.id))
        self.schedule_report(job)

    def connection_lost(self, link: int) -> None:
        """Close all jobs that were opened on a connection that is gone."""
        for job in self.jobs.values():
            if job.link == link and job.state in {JobState.OPENING, JobState.READY, JobState.SENDING}:
                self.transition(job, JobEvent.LOST)

    def _wait(self, job: JobRecord, now: float) -> None:
        job.attempt += 1
        job.not_before = now + RECONNECT.delay(job.attempt, self._rng.random)
        self._timers.set(job.not_before, "job", job.id)

    # --- what is due --------------------------------------------------------------------------------------------

    def schedule_send(self, job: JobRecord) -> None:
        """Schedule the head of a job's queue, if a batch of it can be sent."""
        if job.state is not JobState.READY or self._connections.current is None:
            return
        if job.link != self._connections.current or job.opened_as != job.container:
            # A newer connection replaced the one that it was opened on, or the container was renamed since.
            self.transition(job, JobEvent.REOPEN)
        elif job.queue:
            self.to_send[job.id] = None
        else:
            self.to_send.pop(job.id, None)

    def acknowledge(self, job: JobRecord, batches: Iterable[QueuedBatch]) -> None:
        """Remove durable batches from the head of a job's queue.

        Args:
            job: the job.
            batches: the first batches of its queue, in order.
        """
        acknowledged = tuple(batches)
        for batch in acknowledged:
            job.queue.popleft()
            job.tip += batch.count
            job.digest = batch.digest
            job.bytes += batch.raw
            job.gaps += batch.gaps
            job.last = batch.end
        self._emit(Acknowledged(job.id, acknowledged))

    def schedule_report(self, job: JobRecord, *, grown: bool = False) -> None:
        """Schedule a job's status, if the cloud should learn of it now, or forget the job when all is done.

        Args:
            job: the job.
            grown: whether growth alone is a reason to report.
        """
        if job.report_pending is not None:
            return
        final = job.ended and not job.queue
        if final and (job.state is JobState.GONE or job.reported == (job.life, job.tip)):
            self._forget(job)
            return
        life, tip = job.reported or (None, None)
        if life != job.life or ((grown or final) and tip != job.tip):
            self.to_report[job.id] = None

    def schedule_growth_report(self, job: JobRecord, now: float) -> None:
        """Report a job's growth later: rarely while its container runs, soon when it does not."""
        moment = now + (ENDED_STATUS_S if job.life.over else STATUS_EVERY_S)
        self.report_growth_by(job, moment)

    def report_growth_by(self, job: JobRecord, moment: float) -> None:
        """Report a job's growth at a moment, unless an earlier report is due."""
        if job.report_at is None or moment < job.report_at:
            job.report_at = moment
            self._timers.set(moment, "report", job.id)

    def report_due(self, job_id: str, now: float) -> None:
        """Schedule the report whose time has come, unless it was made earlier."""
        job = self.jobs.get(job_id)
        if job is not None and job.report_at is not None and now >= job.report_at:
            job.report_at = None
            self.schedule_report(job, grown=True)

    def mark_reporting(self, job: JobRecord) -> None:
        """Record that a status of the job is being sent."""
        del self.to_report[job.id]
        job.report_pending = (job.life, job.tip)

    def _forget(self, job: JobRecord) -> None:
        del self.jobs[job.id]
        for pending in (self.to_open, self.to_send, self.to_report):
            pending.pop(job.id, None)
        self._emit(Forget(job.id))
