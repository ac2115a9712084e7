"""What becomes of the jobs when an answer comes, or does not.

An answer is matched by the request's id to the very batches that it carried. A late one (after its timeout) still
counts when it says `stored` or `duplicate` and the batch still heads its queue; all else that is late is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from logferry_protocol.backoff import RECONNECT
from logferry_protocol.messages import Error, Ingested, Noted, Opened, OpenedJob, Result, Watched

from .congestion_window import Window
from .connections import Connections
from .effects import Counted, Effect, Hang, Reread, SetAside
from .job_record import JobState
from .job_state import Event, Phase
from .pending_requests import Request, Requests
from .reconcile import Stored, compare
from .scheduler import Agenda
from .timers import Timers


class Answers:
    """Brings answers to the jobs that they concern."""

    def __init__(
        self,
        agenda: Agenda,
        requests: Requests,
        *,
        connections: Connections,
        window: Window,
        timers: Timers,
        rng: Random,
        emit: Callable[[Effect], None],
    ) -> None:
        self._agenda, self._requests, self._connections = agenda, requests, connections
        self._window, self._timers, self._rng, self._emit = window, timers, rng, emit

    # --- opened -------------------------------------------------------------------------------------------------

    def opened(self, message: Opened, now: float) -> None:
        """Where the cloud stands with the jobs of an `open`."""
        request = self._requests.answered(message.id)
        if request is None or request.kind != "open":
            return
        answers = {answer.job: answer for answer in message.jobs}
        for job in self._concerned(request):
            if job.request != message.id:
                continue
            answer = answers.get(job.id)
            if answer is None:
                self._agenda.retry(job, now)
            elif answer.error is not None:
                self._not_opened(job, answer, now)
            else:
                self._agenda.move(job, Event.OPENED)
                job.attempt = 0
                job.noted = (job.life, job.noted[1] if job.noted else None)
                job.watch(answer.watched or Watched(ttl=0, interval=0), now)
                self._resync(job, answer)
                self._agenda.want_send(job)
                self._agenda.report(job)
                if job.tip:
                    self._agenda.report_growth(job, now)

    def _not_opened(self, job: JobState, answer: OpenedJob, now: float) -> None:
        assert answer.error is not None  # noqa: S101 - the caller looked
        if answer.error == "not_found":
            self._agenda.gone(job)
        elif answer.retry:
            self._agenda.retry(job, now)
        else:
            self._agenda.park(job, answer.error, answer.message, now)

    def _resync(self, job: JobState, cloud: OpenedJob) -> None:
        """Go on from the cloud's place."""
        found = compare(job, cloud)
        if isinstance(found, Stored):
            if found.refs:
                self._agenda.acknowledge(job, found.refs)
            return
        if found.cause == "conflict":
            self._emit(Counted("conflict", job.id, f"the cloud is at {cloud.tip}, the spool at {job.tip}"))
        job.tip, job.digest = cloud.tip, cloud.digest
        job.queue.clear()
        self._emit(Reread(job.id, cloud.tip, cloud.digest, cloud.cursor, found.cause))

    # --- ingested -----------------------------------------------------------------------------------------------

    def ingested(self, message: Ingested, now: float) -> None:
        """What became of an envelope's batches."""
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
            self._emit(Counted("slow_down", detail=str(message.slow_down)))
        elif in_time:
            self._window.answered()
        results = {result.job: result for result in message.results}
        for job_id, batch_id in zip(request.jobs, request.batches, strict=True):
            job = self._agenda.jobs.get(job_id)
            if job is None or not job.queue or job.queue[0].id != batch_id:
                continue
            result = results.get(job_id)
            current = job.phase is Phase.SENDING and job.request == message.id
            if result is not None and result.outcome in {"stored", "duplicate"}:
                if result.outcome == "duplicate":
                    self._emit(Counted("duplicate", job_id))
                self._stored(job, now)
            elif current and result is None:
                self._agenda.retry(job, now)
            elif current and result is not None:
                self._not_stored(job, result, now)

    def _stored(self, job: JobState, now: float) -> None:
        """The head of the queue is durable, whether or not its answer was still waited for."""
        if job.phase in {Phase.SENDING, Phase.READY}:
            self._agenda.move(job, Event.STORED)
        job.attempt, job.not_before = 0, 0.0
        self._agenda.acknowledge(job, [job.queue[0]])
        self._agenda.report_growth(job, now)
        self._agenda.want_send(job)
        self._agenda.report(job)

    def _not_stored(self, job: JobState, result: Result, now: float) -> None:
        reason = result.reason or "internal"
        if result.outcome == "conflict":
            self._emit(Counted("conflict", job.id, f"other bytes are stored at {result.first}"))
            self._agenda.reopen(job, now)
            return
        self._emit(Counted("rejected", job.id, reason))
        if reason == "out_of_sequence":
            self._agenda.reopen(job, now)
        elif reason == "deleted":
            self._agenda.gone(job)
        elif result.retry:
            self._window.congested()
            self._agenda.retry(job, now)
        elif job.queue[0].gap:
            # Even the gap is refused, so it is not the bytes that are wrong with this job.
            self._agenda.park(job, reason, result.message, now)
        else:
            self._agenda.move(job, Event.ASIDE)
            self._emit(SetAside(job.id, job.queue[0], reason, result.message))

    # --- the others ---------------------------------------------------------------------------------------------

    def noted(self, message: Noted, now: float) -> None:
        """The cloud knows the jobs of a status."""
        request = self._requests.answered(message.id)
        if request is None or request.kind != "status":
            return
        for job in self._concerned(request):
            job.noted, job.reporting = job.reporting, None
            self._agenda.report(job)
            if job.noted is None or job.noted[1] != job.tip:
                self._agenda.report_growth(job, now)

    def error(self, link: int, message: Error, now: float) -> None:
        """A request could not be served."""
        self._emit(Counted("error", detail=f"{message.code}: {message.message}"))
        if message.code in {"unauthorized", "expired"}:
            # The credential ended under a standing connection: the next handshake says so to the person.
            self._hang(link, message.code)
            return
        if message.id is None or (request := self._requests.answered(message.id)) is None:
            return
        if message.code in {"throttled", "internal"}:
            self._window.congested()
        for job in self._concerned(request):
            if request.kind == "status":
                # Not worth a second try: the next change says it again.
                job.noted, job.reporting = job.reporting, None
            elif job.request == message.id and (message.retry or request.kind == "ingest"):
                self._agenda.retry(job, now)
            elif job.request == message.id:
                self._agenda.park(job, message.code, message.message, now)

    def timed_out(self, request_id: str, now: float) -> None:
        """No answer came in time, if it did not."""
        request = self._requests.give_up(request_id)
        if request is None:
            return
        self._emit(Counted("timeout", detail=request.kind))
        self._window.congested()
        for job in self._concerned(request):
            if request.kind == "status":
                job.reporting, job.noted = None, None
                self._agenda.report_by(job, now + RECONNECT.delay(4, self._rng.random))
            elif job.request == request_id:
                self._agenda.retry(job, now)
        if self._connections.unanswered(request.link):
            self._hang(request.link, "no answers")

    def lost(self, link: int) -> None:
        """A connection is gone: nothing asked on it will be answered."""
        self._connections.down(link)
        for request in self._requests.give_up_all(link):
            if request.kind == "status":
                for job in self._concerned(request):
                    job.reporting = None
                    self._agenda.report(job)
        self._agenda.lost(link)

    def _hang(self, link: int, reason: str) -> None:
        self._emit(Hang(link, reason))
        self.lost(link)

    def _concerned(self, request: Request) -> list[JobState]:
        """The jobs of a request that are still known."""
        return [job for job_id in request.jobs if (job := self._agenda.jobs.get(job_id)) is not None]
