"""Hold all jobs, change their phases, and decide what to send to the cloud next.

Every change of a job's phase happens here, by the table in core/session/job_state.py. Nothing here sends anything. What
a change asks of the shell (park, discard or forget a job; mark batches durable) is emitted as an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from logferry_protocol.backoff import RECONNECT
from logferry_protocol.errors import ErrorCode, RejectReason

from .connections import Connections
from .effects import Acknowledged, Discard, Effect, Forget, Park
from .job_record import JobState, Ref
from .job_state import TRANSITIONS, Event, Phase
from .timers import Timers

PARKED_S = 60.0
"""How long to leave a job alone that the cloud refuses."""

STATUS_EVERY_S = 300.0
"""How often a job that only grew is reported."""

ENDED_STATUS_S = 1.0
"""The same of one whose container does not run. Not at once: what is left of its log may go in many batches, and each
of them would be followed by a status."""


class Agenda:
    """The jobs, and for each what comes next."""

    def __init__(self, connections: Connections, timers: Timers, rng: Random, emit: Callable[[Effect], None]) -> None:
        self._connections, self._timers, self._rng, self._emit = connections, timers, rng, emit
        self.jobs: dict[str, JobState] = {}
        self.to_open: dict[str, None] = {}
        """Closed jobs, in the order in which they came to be so."""
        self.to_send: dict[str, None] = {}
        """Ready jobs with a queued batch."""
        self.to_report: dict[str, None] = {}
        """Jobs whose status the cloud should learn."""

    def states(self, wanted: Iterable[str]) -> list[JobState]:
        """The jobs of these ids."""
        return [self.jobs[job_id] for job_id in wanted]

    def add(self, job: JobState) -> None:
        """Take on a job."""
        self.jobs[job.id] = job
        self.to_open[job.id] = None

    # --- moves --------------------------------------------------------------------------------------------------

    def move(self, job: JobState, event: Event) -> None:
        """Let something move a job."""
        job.phase = TRANSITIONS[job.phase][event]
        if job.phase not in {Phase.OPENING, Phase.SENDING}:
            job.request = None
        if job.phase is Phase.CLOSED:
            job.link = None
            self.to_open[job.id] = None
        if job.phase is not Phase.READY:
            self.to_send.pop(job.id, None)

    def opening(self, job: JobState, link: int, request_id: str) -> None:
        """An `open` with the job goes out."""
        del self.to_open[job.id]
        self.move(job, Event.OPEN)
        job.link, job.request = link, request_id
        job.opened_as = job.container

    def sending(self, job: JobState, ref: Ref, request_id: str, now: float) -> None:
        """An envelope with the head of the job's queue goes out."""
        self.move(job, Event.SEND)
        job.request, job.sent_at = request_id, now
        ref.first = job.tip + 1

    def retry(self, job: JobState, now: float) -> None:
        """The same again, after a moment."""
        self.move(job, Event.RETRY)
        self._wait(job, now)
        self.want_send(job)

    def reopen(self, job: JobState, now: float) -> None:
        """Ask where the cloud stands: at once the first time, as the answer settles it."""
        self.move(job, Event.REOPEN)
        if job.attempt:
            self._wait(job, now)
        job.attempt += 1

    def park(self, job: JobState, reason: ErrorCode | RejectReason, message: str, now: float) -> None:
        """Leave a job alone for a while."""
        self.move(job, Event.REFUSED)
        job.not_before = now + PARKED_S
        self._timers.set(job.not_before, "job", job.id)
        self._emit(Park(job.id, reason, message))

    def due(self, job_id: str, now: float) -> None:
        """A job's wait is over."""
        job = self.jobs.get(job_id)
        if job is not None and job.phase is Phase.PARKED and now >= job.not_before:
            self.move(job, Event.DUE)

    def gone(self, job: JobState) -> None:
        """The job was deleted in the cloud."""
        self.move(job, Event.DELETED)
        job.queue.clear()
        self._emit(Discard(job.id))
        self.report(job)

    def lost(self, link: int) -> None:
        """All jobs on a connection are closed."""
        for job in self.jobs.values():
            if job.link == link and job.phase in {Phase.OPENING, Phase.READY, Phase.SENDING}:
                self.move(job, Event.LOST)

    def _wait(self, job: JobState, now: float) -> None:
        job.attempt += 1
        job.not_before = now + RECONNECT.delay(job.attempt, self._rng.random)
        self._timers.set(job.not_before, "job", job.id)

    # --- what comes next ----------------------------------------------------------------------------------------

    def want_send(self, job: JobState) -> None:
        """See whether a batch of the job can go."""
        if job.phase is not Phase.READY or self._connections.current is None:
            return
        if job.link != self._connections.current or job.opened_as != job.container:
            # Its answer came over a connection that has a successor; or the container was renamed meanwhile.
            self.move(job, Event.REOPEN)
        elif job.queue:
            self.to_send[job.id] = None
        else:
            self.to_send.pop(job.id, None)

    def acknowledge(self, job: JobState, refs: Iterable[Ref]) -> None:
        """The head of a job's queue is durable."""
        acknowledged = tuple(refs)
        for ref in acknowledged:
            job.queue.popleft()
            job.tip += ref.count
            job.digest = ref.digest
            job.bytes += ref.raw
            job.gaps += ref.gaps
            job.last = ref.end
        self._emit(Acknowledged(job.id, acknowledged))

    def report(self, job: JobState, *, grown: bool = False) -> None:
        """See whether the cloud should learn of a job now; `grown` when it is time to tell of growth alone."""
        if job.reporting is not None:
            return
        final = job.ended and not job.queue
        if final and (job.phase is Phase.GONE or job.noted == (job.life, job.tip)):
            self._forget(job)
            return
        life, tip = job.noted or (None, None)
        if life != job.life or ((grown or final) and tip != job.tip):
            self.to_report[job.id] = None

    def report_growth(self, job: JobState, now: float) -> None:
        """Let the cloud learn how far a job has come: seldom while it runs, soon when it does not."""
        moment = now + (ENDED_STATUS_S if job.life.over else STATUS_EVERY_S)
        self.report_by(job, moment)

    def report_by(self, job: JobState, moment: float) -> None:
        """Report growth then, if it is not due earlier."""
        if job.report_at is None or moment < job.report_at:
            job.report_at = moment
            self._timers.set(moment, "report", job.id)

    def report_due(self, job_id: str, now: float) -> None:
        """The time of a report has come, if it was not made earlier."""
        job = self.jobs.get(job_id)
        if job is not None and job.report_at is not None and now >= job.report_at:
            job.report_at = None
            self.report(job, grown=True)

    def reporting(self, job: JobState) -> None:
        """A status of the job goes out."""
        del self.to_report[job.id]
        job.reporting = (job.life, job.tip)

    def _forget(self, job: JobState) -> None:
        del self.jobs[job.id]
        for pending in (self.to_open, self.to_send, self.to_report):
            pending.pop(job.id, None)
        self._emit(Forget(job.id))
