"""Apply the cloud's answers to the jobs, and act when an answer does not come.

The id of a request matches an answer to the very batches that the request carried. A late answer (after its timeout)
counts when it says `stored` or `duplicate` and the batch is still the head of its queue. Every other late answer is
ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from logferry_protocol.backoff import RECONNECT
from logferry_protocol.messages import Error, Ingested, Noted, Opened, OpenedJob, Result, Watched

from .congestion_window import CongestionWindow
from .connections import Connections
from .effects import CloseConnection, Effect, Observation, Reread, SetAside
from .job_record import JobRecord
from .job_state import JobEvent, JobState
from .pending_requests import PendingRequests, Request
from .reconcile import InSync, reconcile
from .scheduler import Scheduler
from .timers import Timers


class ResponseHandler:
    """Applies each answer, error and timeout to the jobs that it concerns."""

    def __init__(
        self,
        scheduler: Scheduler,
        requests: PendingRequests,
        *,
        connections: Connections,
        window: CongestionWindow,
        timers: Timers,
        rng: Random,
        emit: Callable[[Effect], None],
    ) -> None:
        """Start handling.

        Args:
            scheduler: holds the jobs and changes their states.
            requests: the unanswered requests.
            connections: the open connections.
            window: grows and shrinks with the answers.
            timers: where a requested pause is set.
            rng: the randomness of the delay before a report is repeated.
            emit: takes each effect.
        """
        self._scheduler, self._requests, self._connections = scheduler, requests, connections
        self._window, self._timers, self._rng, self._emit = window, timers, rng, emit

    # --- opened -------------------------------------------------------------------------------------------------

    def opened(self, message: Opened, now: float) -> None:
        """Take the cloud's tips for the jobs of an `open`."""
        request = self._requests.answered(message.id)
        if request is None or request.kind != "open":
            return
        answers = {answer.job: answer for answer in message.jobs}
        for job in self._jobs_of(request):
            if job.request != message.id:
                continue
            answer = answers.get(job.id)
            if answer is None:
                self._scheduler.retry(job, now)
            elif answer.error is not None:
                self._not_opened(job, answer, now)
            else:
                self._scheduler.transition(job, JobEvent.OPENED)
                job.attempt = 0
                job.reported = (job.life, job.reported[1] if job.reported else None)
                job.watch(answer.watched or Watched(ttl=0, interval=0), now)
                self._reconcile(job, answer)
                self._scheduler.schedule_send(job)
                self._scheduler.schedule_report(job)
                if job.tip:
                    self._scheduler.schedule_growth_report(job, now)

    def _not_opened(self, job: JobRecord, answer: OpenedJob, now: float) -> None:
        assert answer.error is not None  # noqa: S101 - the caller checked it
        if answer.error == "not_found":
            self._scheduler.discard(job)
        elif answer.retry:
            self._scheduler.retry(job, now)
        else:
            self._scheduler.park(job, answer.error, answer.message, now)

    def _reconcile(self, job: JobRecord, cloud: OpenedJob) -> None:
        """Acknowledge what the cloud has stored already, or take its tip when it diverged from the spool."""
        found = reconcile(job, cloud)
        if isinstance(found, InSync):
            if found.batches:
                self._scheduler.acknowledge(job, found.batches)
            return
        if found.cause == "conflict":
            self._emit(Observation("conflict", job.id, f"the cloud is at {cloud.tip}, the spool at {job.tip}"))
        job.tip, job.digest = cloud.tip, cloud.digest
        job.queue.clear()
        # The last confirmed status may have had this very tip. The job must not be forgotten before it is read again.
        job.reported = (job.life, None)
        self._emit(Reread(job.id, cloud.tip, cloud.digest, cloud.cursor, found.cause))

    # --- ingested -----------------------------------------------------------------------------------------------

    def ingested(self, message: Ingested, now: float) -> None:
        """Apply the result of each batch of an envelope."""
        request = self._requests.answered(message.id)
        in_time = request is not None
        if request is None:
            request = self._requests.answered_late(message.id)
        if request is None or request.kind != "ingest":
            return
        if message.slow_down:
            until = now + message.slow_down / 1000.0
            self._window.close(until)
            self._timers.set(until, "wake")
            self._emit(Observation("slow_down", detail=str(message.slow_down)))
        elif in_time:
            self._window.answered()
        results = {result.job: result for result in message.results}
        for job_id, batch_id in zip(request.jobs, request.batches, strict=True):
            job = self._scheduler.jobs.get(job_id)
            if job is None or not job.queue or job.queue[0].id != batch_id:
                continue
            result = results.get(job_id)
            current = job.state is JobState.SENDING and job.request == message.id
            if result is not None and result.outcome in {"stored", "duplicate"}:
                if result.outcome == "duplicate":
                    self._emit(Observation("duplicate", job_id))
                self._stored(job, now)
            elif current and result is None:
                self._scheduler.retry(job, now)
            elif current and result is not None:
                self._not_stored(job, result, now)

    def _stored(self, job: JobRecord, now: float) -> None:
        """Acknowledge the head of the queue, whether or not its answer was still expected."""
        if job.state in {JobState.SENDING, JobState.READY}:
            self._scheduler.transition(job, JobEvent.STORED)
        job.attempt, job.not_before = 0, 0.0
        self._scheduler.acknowledge(job, [job.queue[0]])
        self._scheduler.schedule_growth_report(job, now)
        self._scheduler.schedule_send(job)
        self._scheduler.schedule_report(job)

    def _not_stored(self, job: JobRecord, result: Result, now: float) -> None:
        reason = result.reason or "internal"
        if result.outcome == "conflict":
            self._emit(Observation("conflict", job.id, f"other bytes are stored at {result.first}"))
            self._scheduler.reopen(job, now)
            return
        self._emit(Observation("rejected", job.id, reason))
        if reason == "out_of_sequence":
            self._scheduler.reopen(job, now)
        elif reason == "deleted":
            self._scheduler.discard(job)
        elif result.retry:
            self._window.congested()
            self._scheduler.retry(job, now)
        elif job.queue[0].gap:
            # The cloud refuses even the gap, so the bytes of the batch are not the reason.
            self._scheduler.park(job, reason, result.message, now)
        else:
            self._scheduler.transition(job, JobEvent.ASIDE)
            self._emit(SetAside(job.id, job.queue[0], reason, result.message))

    # --- other answers ------------------------------------------------------------------------------------------

    def noted(self, message: Noted, now: float) -> None:
        """Record that the cloud knows the jobs' status."""
        request = self._requests.answered(message.id)
        if request is None or request.kind != "status":
            return
        for job in self._jobs_of(request):
            job.reported, job.report_pending = job.report_pending, None
            self._scheduler.schedule_report(job)
            if job.reported is None or job.reported[1] != job.tip:
                self._scheduler.schedule_growth_report(job, now)

    def error(self, link: int, message: Error, now: float) -> None:
        """Retry or park the jobs of a request that failed."""
        self._emit(Observation("error", detail=f"{message.code}: {message.message}"))
        if message.code in {"unauthorized", "expired"}:
            # The credential expired while the connection was open. The next handshake reports it to the operator.
            self._close(link, message.code)
            return
        if message.id is None or (request := self._requests.answered(message.id)) is None:
            return
        if message.code in {"throttled", "internal"}:
            self._window.congested()
        for job in self._jobs_of(request):
            if request.kind == "status":
                # Not repeated: the next change reports the same again.
                job.reported, job.report_pending = job.report_pending, None
            elif job.request == message.id and (message.retry or request.kind == "ingest"):
                self._scheduler.retry(job, now)
            elif job.request == message.id:
                self._scheduler.park(job, message.code, message.message, now)

    def timed_out(self, request_id: str, now: float) -> None:
        """Retry the jobs of a request, unless it was answered in time."""
        request = self._requests.give_up(request_id)
        if request is None:
            return
        self._emit(Observation("timeout", detail=request.kind))
        self._window.congested()
        for job in self._jobs_of(request):
            if request.kind == "status":
                job.report_pending, job.reported = None, None
                self._scheduler.report_growth_by(job, now + RECONNECT.delay(4, self._rng.random))
            elif job.request == request_id:
                self._scheduler.retry(job, now)
        if self._connections.unanswered(request.link):
            self._close(request.link, "no answers")

    def connection_lost(self, link: int) -> None:
        """Give up every request on a connection that is gone."""
        self._connections.remove(link)
        for request in self._requests.give_up_all(link):
            if request.kind == "status":
                for job in self._jobs_of(request):
                    job.report_pending = None
                    self._scheduler.schedule_report(job)
        self._scheduler.connection_lost(link)

    def _close(self, link: int, reason: str) -> None:
        self._emit(CloseConnection(link, reason))
        self.connection_lost(link)

    def _jobs_of(self, request: Request) -> list[JobRecord]:
        """Return the jobs of a request that are still known."""
        return [job for job_id in request.jobs if (job := self._scheduler.jobs.get(job_id)) is not None]
