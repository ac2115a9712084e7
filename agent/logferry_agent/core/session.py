"""What the agent says to the cloud, and what it makes of the answers.

Theory of operation
-------------------
Everything is keyed by job. A job is opened before anything of it is sent; the answer tells where the cloud stands, and
`_resync` compares that with the spool. Then its queued batches go one at a time: the next one is given its sequence
when
the one before is acknowledged, so what the cloud stores is always a gap-free prefix, and each put is a compare-and-set
on the tip. Many jobs go in parallel, several in an envelope, as many envelopes as the window allows.

core/phase.py draws the phases of a job and holds the table that moves it.

Nothing relies on the order, number or arrival of answers:

- An answer is matched by the request's id to the very batches that it carried. A late one (after its timeout) still
  counts
  when it says `stored` or `duplicate` and the batch still heads its queue; all else that is late is ignored.
- An answer that does not come is the same as a retry: the same bytes are sent again under the same sequence.
- A cut connection closes every job on it: after the next `open`, tip and digest tell what became of the batch in
  flight.
- A second connection (opened before the 2-hour limit closes the first) takes over job by job, as their answers come in.

This module knows no clock, no socket and no disk. The shell passes `now` (seconds, monotonic) and carries out the
effects, in order: what they write goes to the spool *before* what they send goes out.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Literal

from logferry_protocol.errors import ErrorCode, RejectReason
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.limits import (
    MAX_ENVELOPE_BATCHES,
    MAX_FRAME_BYTES,
    MAX_OPEN_JOBS,
    MAX_STATUS_JOBS,
)
from logferry_protocol.messages import (
    Error,
    Ingested,
    Noted,
    Open,
    Opened,
    OpenedJob,
    OpenJob,
    Ping,
    Pong,
    Result,
    Status,
    StatusJob,
    ToAgent,
    Watch,
    Watched,
)

from .backoff import delay
from .effects import (
    Acknowledged,
    Counted,
    Discard,
    Effect,
    Forget,
    Hang,
    Park,
    Reread,
    Send,
    SetAside,
    Ship,
)
from .job import JobState, Ref
from .phase import TRANSITIONS, Event, Phase
from .window import Window

PING_EVERY_S = 240.0
"""Against API Gateway's 10-minute idle limit."""

STATUS_EVERY_S = 300.0
"""How often a job that only grew is reported."""

PARKED_S = 60.0
"""How long to leave a job alone that the cloud refuses."""

SILENT_TIMEOUTS = 3
"""So many requests unanswered in a row, with nothing else heard, and the connection is taken for dead."""

FRAME_ROOM = MAX_FRAME_BYTES - 128
"""What an envelope's batches may come to; the rest is its own fields."""

LATE_KEPT = 256
"""Timed out requests whose late answers are still understood."""


@dataclass(slots=True)
class _Request:
    link: int
    kind: Literal["open", "ingest", "status", "ping"]
    jobs: tuple[str, ...]
    batches: tuple[int, ...] = ()
    """The batch of each job, for an envelope."""


class Session:
    """One agent's conversation with the cloud, over one connection after the other."""

    def __init__(self, instance: str, rng: Random, *, answer_timeout_s: float = 10.0) -> None:
        self._instance, self._rng, self._timeout_s = instance, rng, answer_timeout_s
        self._prefix = f"{rng.getrandbits(32):08x}"
        self._ids = count(1)
        self.jobs: dict[str, JobState] = {}
        self._effects: list[Effect] = []
        self._requests: dict[str, _Request] = {}
        self._late: dict[str, _Request] = {}
        self._timers: list[tuple[float, int, str, str]] = []
        self._timer_ids = count()
        self._to_open: dict[str, None] = {}
        self._to_send: dict[str, None] = {}
        self._to_report: dict[str, None] = {}
        self._window = Window()
        self._link: int | None = None
        self._links: dict[int, int] = {}
        """Live connections, and how many requests each left unanswered since anything was heard on it."""
        self._paused_until = 0.0

    # --- what the shell asks ------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether a connection stands."""
        return self._link is not None

    @property
    def in_flight(self) -> int:
        """Envelopes not yet answered."""
        return sum(request.kind == "ingest" for request in self._requests.values())

    @property
    def window(self) -> int:
        """Envelopes that may be unanswered at once."""
        return self._window.size

    def idle(self, job_id: str, now: float) -> bool:
        """Whether a batch of the job would be sent at once, if there was one."""
        job = self.jobs[job_id]
        return (
            job.phase is Phase.READY and not job.queue and now >= job.not_before and job.link == self._link is not None
        )

    def watched(self, job_id: str, now: float) -> bool:
        """Whether somebody looks at the job."""
        return now < self.jobs[job_id].watched_until

    def deadline(self) -> float | None:
        """When to call `advance` next, if nothing happens before."""
        return self._timers[0][0] if self._timers else None

    def effects(self) -> list[Effect]:
        """What is to be done since the last call, in order."""
        self._pump_last()
        effects, self._effects = self._effects, []
        return effects

    # --- jobs ---------------------------------------------------------------------------------------------------

    def add(self, job: JobState, now: float) -> None:
        """Take on a job, as the spool knows it; batches of it that are queued already are in its queue."""
        self.jobs[job.id] = job
        self._to_open[job.id] = None
        self._pump(now)

    def change(self, job_id: str, container: Container, life: LifeCycle, now: float) -> None:
        """The engine says something new of a job."""
        job = self.jobs[job_id]
        job.container, job.life = container, life
        self._report(job)
        self._pump(now)

    def end(self, job_id: str, now: float) -> None:
        """Nothing more of a job will be queued."""
        job = self.jobs[job_id]
        job.ended = True
        self._report(job)
        self._pump(now)

    def queue(self, job_id: str, ref: Ref, now: float) -> None:
        """A batch was closed; it is on disk before its sequence is."""
        job = self.jobs[job_id]
        job.queue.append(ref)
        self._want_send(job)
        self._pump(now)

    def requeue(self, job_id: str, refs: Iterable[Ref], now: float) -> None:
        """Put another queue in the place of a job's: after a gap took the place of some of it."""
        job = self.jobs[job_id]
        job.queue = deque(refs)
        self._want_send(job)
        self._pump(now)

    # --- connections --------------------------------------------------------------------------------------------

    def connected(self, link: int, now: float) -> None:
        """A connection stands; the one before it, if any, is left as soon as its answers are in."""
        self._link = link
        self._links[link] = 0
        self._set_timer(now + PING_EVERY_S, "ping", str(link))
        for job in self.jobs.values():
            if job.phase is Phase.READY:
                self._move(job, Event.REOPEN)
        self._pump(now)

    def lost(self, link: int, now: float) -> None:
        """A connection is gone, with every request on it."""
        self._links.pop(link, None)
        if self._link == link:
            self._link = None
        for request_id in [key for key, request in self._requests.items() if request.link == link]:
            request = self._requests.pop(request_id)
            self._remember(request_id, request)
            for job_id in request.jobs:
                if (job := self.jobs.get(job_id)) is not None and request.kind == "status":
                    job.reporting = None
                    self._report(job)
        for job in self.jobs.values():
            if job.link == link and job.phase in {Phase.OPENING, Phase.READY, Phase.SENDING}:
                self._move(job, Event.LOST)
        self._pump(now)

    def received(self, link: int, message: ToAgent | None, now: float) -> None:
        """A message came; None for one that could not be read."""
        if link in self._links:
            self._links[link] = 0
        match message:
            case Opened():
                self._opened(message, now)
            case Ingested():
                self._ingested(message, now)
            case Noted():
                self._noted(message, now)
            case Watch():
                if (job := self.jobs.get(message.job)) is not None:
                    self._watch(job, message, now)
            case Error():
                self._error(link, message, now)
            case Pong():
                self._requests.pop(message.id, None)
            case None:
                # API Gateway's own errors name no request: whichever it was will time out.
                self._effects.append(Counted("error", detail="unreadable message"))
        self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        while self._timers and self._timers[0][0] <= now:
            _, _, kind, key = heapq.heappop(self._timers)
            match kind:
                case "answer":
                    self._timed_out(key, now)
                case "job":
                    self._due(key, now)
                case "ping":
                    self._ping(int(key), now)
                case "report":
                    if (job := self.jobs.get(key)) is not None:
                        job.report_due = False
                        self._report(job, grown=True)
                case _:
                    pass
        self._pump(now)

    # --- answers ------------------------------------------------------------------------------------------------

    def _opened(self, message: Opened, now: float) -> None:
        request = self._requests.pop(message.id, None)
        if request is None or request.kind != "open":
            return
        answers = {answer.job: answer for answer in message.jobs}
        for job_id in request.jobs:
            job = self.jobs.get(job_id)
            if job is None or job.request != message.id:
                continue
            answer = answers.get(job_id)
            if answer is None:
                self._retry(job, now)
            elif answer.error is not None:
                self._not_opened(job, answer, now)
            else:
                self._move(job, Event.OPENED)
                job.attempt = 0
                job.noted = (job.life, job.noted[1] if job.noted else None)
                self._watch(job, answer.watched or Watched(ttl=0, interval=0), now)
                self._resync(job, answer)
                self._want_send(job)
                self._report(job)

    def _not_opened(self, job: JobState, answer: OpenedJob, now: float) -> None:
        assert answer.error is not None  # noqa: S101 - the caller looked
        if answer.error == "not_found":
            self._gone(job)
        elif answer.retry:
            self._retry(job, now)
        else:
            self._park(job, answer.error, answer.message, now)

    def _resync(self, job: JobState, cloud: OpenedJob) -> None:
        """Compare where the cloud stands with where the spool does, and go on from the cloud's place."""
        if cloud.tip == job.tip and (cloud.digest is None or job.digest is None or cloud.digest == job.digest):
            return
        if cloud.tip > job.tip:
            # What the cloud has beyond the spool may be the head of the queue: sent, and its answer lost.
            tip, known = job.tip, []
            for ref in job.queue:
                tip += ref.count
                known.append(ref)
                if tip >= cloud.tip:
                    break
            if tip == cloud.tip and known and cloud.digest == known[-1].digest:
                self._acknowledge(job, known)
                return
        if cloud.tip < job.tip:
            cause: Literal["spool_lost", "conflict", "cloud_lost"] = "cloud_lost"
        elif job.tip == 0 and not any(ref.first for ref in job.queue):
            cause = "spool_lost"
        else:
            cause = "conflict"
            self._effects.append(Counted("conflict", job.id, f"the cloud is at {cloud.tip}, the spool at {job.tip}"))
        job.tip, job.digest = cloud.tip, cloud.digest
        job.queue.clear()
        self._effects.append(Reread(job.id, cloud.tip, cloud.digest, cloud.cursor, cause))

    def _ingested(self, message: Ingested, now: float) -> None:
        request = self._requests.pop(message.id, None)
        in_time = request is not None
        if request is None:
            request = self._late.pop(message.id, None)
        if request is None or request.kind != "ingest":
            return
        if message.slow_down:
            self._paused_until = now + message.slow_down / 1000.0
            self._set_timer(self._paused_until, "wake", "")
            self._window.congested()
            self._effects.append(Counted("slow_down", detail=str(message.slow_down)))
        elif in_time:
            self._window.answered()
        results = {result.job: result for result in message.results}
        for job_id, batch_id in zip(request.jobs, request.batches, strict=True):
            job = self.jobs.get(job_id)
            if job is None or not job.queue or job.queue[0].id != batch_id:
                continue
            result = results.get(job_id)
            current = job.phase is Phase.SENDING and job.request == message.id
            if result is not None and result.outcome in {"stored", "duplicate"}:
                if result.outcome == "duplicate":
                    self._effects.append(Counted("duplicate", job_id))
                self._stored(job, now)
            elif current and result is None:
                self._retry(job, now)
            elif current and result is not None:
                self._not_stored(job, result, now)

    def _stored(self, job: JobState, now: float) -> None:
        """The head of the queue is durable, whether or not its answer was still waited for."""
        if job.phase in {Phase.SENDING, Phase.READY}:
            self._move(job, Event.STORED)
        job.attempt, job.not_before = 0, 0.0
        self._acknowledge(job, [job.queue[0]])
        if not job.report_due:
            job.report_due = True
            self._set_timer(now + STATUS_EVERY_S, "report", job.id)
        self._want_send(job)
        self._report(job)

    def _acknowledge(self, job: JobState, refs: list[Ref]) -> None:
        for ref in refs:
            job.queue.popleft()
            job.tip += ref.count
            job.digest = ref.digest
            job.bytes += ref.raw
            job.gaps += ref.gaps
            job.last = ref.end
        self._effects.append(Acknowledged(job.id, tuple(refs)))

    def _not_stored(self, job: JobState, result: Result, now: float) -> None:
        reason = result.reason or "internal"
        if result.outcome == "conflict":
            self._effects.append(Counted("conflict", job.id, f"other bytes are stored at {result.first}"))
            self._reopen(job, now)
            return
        self._effects.append(Counted("rejected", job.id, reason))
        if reason == "out_of_sequence":
            self._reopen(job, now)
        elif reason == "deleted":
            self._gone(job)
        elif result.retry:
            self._window.congested()
            self._retry(job, now)
        elif job.queue[0].gap:
            # Even the gap is refused, so it is not the bytes that are wrong with this job.
            self._park(job, reason, result.message, now)
        else:
            self._move(job, Event.ASIDE)
            self._effects.append(SetAside(job.id, job.queue[0], reason, result.message))

    def _noted(self, message: Noted, now: float) -> None:
        request = self._requests.pop(message.id, None)
        if request is None or request.kind != "status":
            return
        for job_id in request.jobs:
            if (job := self.jobs.get(job_id)) is None:
                continue
            job.noted, job.reporting = job.reporting, None
            self._report(job)

    def _error(self, link: int, message: Error, now: float) -> None:
        self._effects.append(Counted("error", detail=f"{message.code}: {message.message}"))
        if message.code in {"unauthorized", "expired"}:
            # The credential ended under a standing connection: the next handshake says so to the person.
            self._effects.append(Hang(link, message.code))
            self.lost(link, now)
            return
        if message.id is None or (request := self._requests.pop(message.id, None)) is None:
            return
        if message.code in {"throttled", "internal"}:
            self._window.congested()
        for job_id in request.jobs:
            job = self.jobs.get(job_id)
            if job is None:
                continue
            if request.kind == "status":
                # Not worth a second try: the next change says it again.
                job.noted, job.reporting = job.reporting, None
            elif job.request == message.id and (message.retry or request.kind == "ingest"):
                self._retry(job, now)
            elif job.request == message.id:
                self._park(job, message.code, message.message, now)

    def _timed_out(self, request_id: str, now: float) -> None:
        request = self._requests.pop(request_id, None)
        if request is None:
            return
        self._effects.append(Counted("timeout", detail=request.kind))
        self._remember(request_id, request)
        self._window.congested()
        for job_id in request.jobs:
            job = self.jobs.get(job_id)
            if job is None:
                continue
            if request.kind == "status":
                job.reporting, job.noted = None, None
                self._set_timer(now + delay(self._rng, 4), "report", job_id)
            elif job.request == request_id:
                self._retry(job, now)
        if request.link in self._links:
            self._links[request.link] += 1
            if self._links[request.link] >= SILENT_TIMEOUTS:
                self._effects.append(Hang(request.link, "no answers"))
                self.lost(request.link, now)

    def _watch(self, job: JobState, watched: Watched, now: float) -> None:
        job.watched_until = now + watched.ttl / 1000.0
        job.interval_s = watched.interval / 1000.0

    # --- moves --------------------------------------------------------------------------------------------------

    def _move(self, job: JobState, event: Event) -> None:
        job.phase = TRANSITIONS[job.phase][event]
        if job.phase not in {Phase.OPENING, Phase.SENDING}:
            job.request = None
        if job.phase is Phase.CLOSED:
            job.link = None
            self._to_open[job.id] = None
        if job.phase is not Phase.READY:
            self._to_send.pop(job.id, None)

    def _retry(self, job: JobState, now: float) -> None:
        """The same again, after a moment."""
        self._move(job, Event.RETRY)
        self._wait(job, now)
        self._want_send(job)

    def _reopen(self, job: JobState, now: float) -> None:
        """Ask where the cloud stands: at once the first time, as the answer settles it."""
        self._move(job, Event.REOPEN)
        if job.attempt:
            self._wait(job, now)
        job.attempt += 1

    def _wait(self, job: JobState, now: float) -> None:
        job.attempt += 1
        job.not_before = now + delay(self._rng, job.attempt)
        self._set_timer(job.not_before, "job", job.id)

    def _park(self, job: JobState, reason: ErrorCode | RejectReason, message: str, now: float) -> None:
        self._move(job, Event.REFUSED)
        job.not_before = now + PARKED_S
        self._set_timer(job.not_before, "job", job.id)
        self._effects.append(Park(job.id, reason, message))

    def _gone(self, job: JobState) -> None:
        self._move(job, Event.DELETED)
        job.queue.clear()
        self._effects.append(Discard(job.id))
        self._report(job)

    def _due(self, job_id: str, now: float) -> None:
        job = self.jobs.get(job_id)
        if job is not None and job.phase is Phase.PARKED and now >= job.not_before:
            self._move(job, Event.DUE)

    # --- requests -----------------------------------------------------------------------------------------------

    def _want_send(self, job: JobState) -> None:
        if job.phase is not Phase.READY or self._link is None:
            return
        if job.link != self._link:
            # Its answer came over a connection that has a successor.
            self._move(job, Event.REOPEN)
        elif job.queue:
            self._to_send[job.id] = None
        else:
            self._to_send.pop(job.id, None)

    def _report(self, job: JobState, *, grown: bool = False) -> None:
        """See whether the cloud should learn of a job now; `grown` when it is time to tell of growth alone."""
        if job.reporting is not None:
            return
        final = job.ended and not job.queue
        if final and (job.phase is Phase.GONE or job.noted == (job.life, job.tip)):
            self._forget(job)
            return
        terminal = job.life.state in {"exited", "removed"} and not job.queue
        life, tip = job.noted or (None, None)
        if life != job.life or ((grown or final or terminal) and tip != job.tip):
            self._to_report[job.id] = None

    def _forget(self, job: JobState) -> None:
        del self.jobs[job.id]
        for pending in (self._to_open, self._to_send, self._to_report):
            pending.pop(job.id, None)
        self._effects.append(Forget(job.id))

    def _pump(self, now: float) -> None:
        """Send what can be sent now."""
        if self._link is None:
            return
        self._send_opens(self._link, now)
        if now >= self._paused_until:
            self._send_batches(self._link, now)
        self._send_reports(self._link, now)

    def _pump_last(self) -> None:
        """Leave connections that have a successor and nothing unanswered."""
        if self._link is None or len(self._links) == 1:
            return
        busy = {request.link for request in self._requests.values() if request.kind != "ping"}
        for link in [link for link in self._links if link != self._link and link not in busy]:
            del self._links[link]
            self._effects.append(Hang(link, "replaced"))

    def _send_opens(self, link: int, now: float) -> None:
        while self._to_open and len(self._requests) < self._window.size:
            jobs: list[OpenJob] = []
            room = FRAME_ROOM
            for job_id in list(self._to_open):
                job = self.jobs[job_id]
                if job.not_before > now:
                    continue
                entry = OpenJob(job=job_id, container=job.container, life=job.life)
                room -= len(entry.model_dump_json(exclude_none=True).encode()) + 1
                if jobs and (room < 0 or len(jobs) == MAX_OPEN_JOBS):
                    break
                jobs.append(entry)
            if not jobs:
                return
            request_id = self._request(_Request(link, "open", tuple(entry.job for entry in jobs)), now)
            for entry in jobs:
                job = self.jobs[entry.job]
                del self._to_open[entry.job]
                self._move(job, Event.OPEN)
                job.link, job.request = link, request_id
            self._effects.append(Send(link, Open(id=request_id, instance=self._instance, jobs=jobs)))

    def _send_batches(self, link: int, now: float) -> None:
        while self._to_send and len(self._requests) < self._window.size:
            chosen: list[tuple[JobState, Ref]] = []
            room = FRAME_ROOM
            for job_id in list(self._to_send):
                job = self.jobs[job_id]
                if job.not_before > now:
                    continue
                ref = job.queue[0]
                if chosen and (ref.size > room or len(chosen) == MAX_ENVELOPE_BATCHES):
                    continue
                room -= ref.size
                chosen.append((job, ref))
            if not chosen:
                return
            request = _Request(link, "ingest", tuple(job.id for job, _ in chosen), tuple(ref.id for _, ref in chosen))
            request_id = self._request(request, now)
            for job, ref in chosen:
                self._move(job, Event.SEND)
                job.request, job.sent_at = request_id, now
                ref.first = job.tip + 1
            self._effects.append(Ship(link, request_id, tuple((job.id, ref) for job, ref in chosen)))

    def _send_reports(self, link: int, now: float) -> None:
        ready = [job_id for job_id in self._to_report if self.jobs[job_id].phase in {Phase.READY, Phase.SENDING}]
        for begin in range(0, len(ready), MAX_STATUS_JOBS // 2):
            jobs: list[StatusJob] = []
            for job_id in ready[begin : begin + MAX_STATUS_JOBS // 2]:
                job = self.jobs[job_id]
                del self._to_report[job_id]
                job.reporting = (job.life, job.tip)
                jobs.append(
                    StatusJob(job=job_id, life=job.life, tip=job.tip, bytes=job.bytes, gaps=job.gaps, last=job.last)
                )
            request_id = self._request(_Request(link, "status", tuple(entry.job for entry in jobs)), now)
            self._effects.append(Send(link, Status(id=request_id, instance=self._instance, jobs=jobs)))

    def _ping(self, link: int, now: float) -> None:
        if link in self._links:
            request_id = self._request(_Request(link, "ping", ()), now)
            self._effects.append(Send(link, Ping(id=request_id)))
            self._set_timer(now + PING_EVERY_S, "ping", str(link))

    def _request(self, request: _Request, now: float) -> str:
        request_id = f"{self._prefix}-{next(self._ids)}"
        self._requests[request_id] = request
        self._set_timer(now + self._timeout_s, "answer", request_id)
        return request_id

    def _remember(self, request_id: str, request: _Request) -> None:
        """Keep a request whose answer may still come."""
        if request.kind == "ingest":
            self._late[request_id] = request
            while len(self._late) > LATE_KEPT:
                del self._late[next(iter(self._late))]

    def _set_timer(self, when: float, kind: str, key: str) -> None:
        heapq.heappush(self._timers, (when, next(self._timer_ids), kind, key))
