"""What the agent sends to the cloud, and how it acts on the answers.

Theory of operation
-------------------
Everything is keyed by job. The agent opens a job before it sends anything of it. The answer tells the cloud's tip, and
`reconcile` compares that with the spool. Then the job's queued batches go one at a time: the next one gets its sequence
when the one before is acknowledged. So the cloud always stores a gap-free prefix, and each put is a compare-and-set on
the tip. Many jobs go in parallel: several in an envelope, and as many envelopes as the congestion window allows.

Nothing relies on the order, number or arrival of answers:

- A missing answer leads to a retry: the same bytes are sent again under the same sequence.
- A cut connection closes every job on it. After the next `open`, tip and digest tell whether the batch in flight was
  stored.
- A second connection, opened before the 2-hour limit closes the first, takes over job by job as their answers arrive.

The modules of this package:

- `job_state` is the table of a job's states; `scheduler` applies it and knows what is due next.
- `responses` applies the cloud's answers to the jobs.
- `pending_requests` and `connections` record what was asked on which connection.
- `envelope` fills the frames, and this module sends what is ready after each event.

None of them knows a clock, a socket or a disk. The pipeline passes `now` (seconds, monotonic) and carries out the
effects in order. It writes to the spool what an effect requires *before* it sends anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random

from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import Error, Ingested, Noted, Open, Opened, Ping, Pong, Status, ToAgent, Watch

from .congestion_window import CongestionWindow
from .connections import Connections
from .effects import CloseConnection, Effect, Observation, SendBatches, SendMessage
from .envelope import batches_to_send, jobs_to_open, statuses_to_send
from .job_record import JobRecord, QueuedBatch
from .job_state import JobEvent, JobState
from .pending_requests import PendingRequests, Request
from .responses import ResponseHandler
from .scheduler import Scheduler
from .timers import Timers

PING_EVERY_S = 240.0
"""Seconds between two pings on a connection, because API Gateway closes one that is idle for 10 minutes."""


class Session:
    """One agent's conversation with the cloud, over one connection after the other."""

    def __init__(self, instance: str, rng: Random, *, answer_timeout_s: float = 10.0) -> None:
        """Start without jobs and without a connection.

        Args:
            instance: id of the engine whose jobs these are.
            rng: the randomness of request ids and delays.
            answer_timeout_s: how long to wait for an answer, in seconds.
        """
        self._instance = instance
        self._effects: list[Effect] = []
        self._timers = Timers()
        self._window = CongestionWindow()
        self._connections = Connections()
        self._requests = PendingRequests(f"{rng.getrandbits(32):08x}", self._timers, answer_timeout_s)
        self._scheduler = Scheduler(self._connections, self._timers, rng, self._emit)
        self._responses = ResponseHandler(
            self._scheduler,
            self._requests,
            connections=self._connections,
            window=self._window,
            timers=self._timers,
            rng=rng,
            emit=self._emit,
        )
        self.jobs = self._scheduler.jobs

    # --- state --------------------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether there is a connection."""
        return self._connections.current is not None

    @property
    def in_flight(self) -> int:
        """How many envelopes are unanswered."""
        return self._requests.envelopes

    @property
    def window(self) -> int:
        """How many envelopes may be unanswered at once."""
        return self._window.size

    def idle(self, job_id: str, now: float) -> bool:
        """Return whether a new batch of the job would be sent at once."""
        job, link = self.jobs[job_id], self._connections.current
        return job.state is JobState.READY and not job.queue and now >= job.not_before and job.link == link is not None

    def watched(self, job_id: str, now: float) -> bool:
        """Return whether somebody watches the job."""
        return now < self.jobs[job_id].watched_until

    def deadline(self) -> float | None:
        """Return when to call `advance` next if nothing happens before; None when nothing is due."""
        return self._timers.next

    def effects(self) -> list[Effect]:
        """Return the effects since the last call, in order."""
        for link in self._connections.drop_replaced(self._requests.links):
            self._emit(CloseConnection(link, "replaced"))
        effects, self._effects = self._effects, []
        return effects

    # --- jobs ---------------------------------------------------------------------------------------------------

    def add(self, job: JobRecord, now: float) -> None:
        """Add a job as the spool knows it, with the batches that are queued already."""
        self._scheduler.add(job)
        self._send_ready(now)

    def change(self, job_id: str, container: Container, life: LifeCycle, now: float) -> None:
        """Update what the engine says of a job."""
        job = self.jobs[job_id]
        job.container, job.life = container, life
        self._scheduler.schedule_send(job)
        self._scheduler.schedule_report(job)
        self._send_ready(now)

    def end(self, job_id: str, now: float) -> None:
        """Record that nothing more of a job will be queued."""
        job = self.jobs[job_id]
        job.ended = True
        self._scheduler.schedule_report(job)
        self._send_ready(now)

    def enqueue(self, job_id: str, batch: QueuedBatch, now: float) -> None:
        """Append a closed batch to its job's queue. It has to be on disk before its sequence is."""
        job = self.jobs[job_id]
        job.queue.append(batch)
        self._scheduler.schedule_send(job)
        self._send_ready(now)

    def replace_queue(self, job_id: str, batches: Iterable[QueuedBatch], now: float) -> None:
        """Replace a job's queue after a gap took the place of some of its batches."""
        job = self.jobs[job_id]
        job.queue = deque(batches)
        self._scheduler.schedule_send(job)
        self._send_ready(now)

    # --- connections --------------------------------------------------------------------------------------------

    def connected(self, link: int, now: float) -> None:
        """Use a new connection; the previous one is closed as soon as its answers are in."""
        self._connections.up(link)
        self._timers.set(now + PING_EVERY_S, "ping", str(link))
        for job in self.jobs.values():
            if job.state is JobState.READY:
                self._scheduler.transition(job, JobEvent.REOPEN)
        self._send_ready(now)

    def lost(self, link: int, now: float) -> None:
        """Give up a connection that is gone, with every request on it."""
        self._responses.connection_lost(link)
        self._send_ready(now)

    def received(self, link: int, message: ToAgent | None, now: float) -> None:
        """Handle a message from the cloud.

        Args:
            link: the connection that it came on.
            message: the message; None for one that could not be read.
            now: the current moment.
        """
        self._connections.mark_received(link)
        match message:
            case Opened():
                self._responses.opened(message, now)
            case Ingested():
                self._responses.ingested(message, now)
            case Noted():
                self._responses.noted(message, now)
            case Watch():
                if (job := self.jobs.get(message.job)) is not None:
                    job.watch(message, now)
            case Error():
                self._responses.error(link, message, now)
            case Pong():
                self._requests.answered(message.id)
            case None:
                # API Gateway's own errors name no request. The request that failed will time out.
                self._emit(Observation("error", detail="unreadable message"))
        self._send_ready(now)

    def advance(self, now: float) -> None:
        """Act on the timers that are due."""
        for kind, key in self._timers.due(now):
            match kind:
                case "answer":
                    self._responses.timed_out(key, now)
                case "job":
                    self._scheduler.wait_over(key, now)
                case "ping":
                    self._ping(int(key), now)
                case "report":
                    self._scheduler.report_due(key, now)
                case "wake":
                    pass
        self._send_ready(now)

    def report_before_exit(self, now: float) -> None:
        """Send what the cloud does not know yet of the jobs' growth, if there is a connection."""
        for job in list(self.jobs.values()):
            if job.report_pending is not None:
                job.reported, job.report_pending = job.report_pending, None  # nobody will receive the answer
            self._scheduler.schedule_report(job, grown=job.tip > 0)
        self._send_ready(now)

    # --- sending ------------------------------------------------------------------------------------------------

    def _send_ready(self, now: float) -> None:
        """Send everything that can be sent now."""
        link = self._connections.current
        if link is None:
            return
        self._send_opens(link, now)
        if self._window.is_open(now):
            self._send_batches(link, now)
        self._send_reports(link, now)

    def _send_opens(self, link: int, now: float) -> None:
        scheduler = self._scheduler
        while scheduler.to_open and len(self._requests) < self._window.size:
            jobs = jobs_to_open(scheduler.records(scheduler.to_open), now)
            if not jobs:
                return
            request_id = self._requests.add(Request(link, "open", tuple(entry.job for entry in jobs)), now)
            for entry in jobs:
                scheduler.mark_opening(self.jobs[entry.job], link, request_id)
            self._emit(SendMessage(link, Open(id=request_id, instance=self._instance, jobs=jobs)))

    def _send_batches(self, link: int, now: float) -> None:
        scheduler = self._scheduler
        while scheduler.to_send and len(self._requests) < self._window.size:
            chosen = batches_to_send(scheduler.records(scheduler.to_send), now)
            if not chosen:
                return
            batches = tuple((job.id, batch) for job, batch in chosen)
            request = Request(
                link, "ingest", tuple(job_id for job_id, _ in batches), tuple(batch.id for _, batch in batches)
            )
            request_id = self._requests.add(request, now)
            for job, batch in chosen:
                scheduler.mark_sending(job, batch, request_id, now)
            self._emit(SendBatches(link, request_id, batches))

    def _send_reports(self, link: int, now: float) -> None:
        scheduler = self._scheduler
        ready = [
            job for job in scheduler.records(scheduler.to_report) if job.state in {JobState.READY, JobState.SENDING}
        ]
        for jobs in statuses_to_send(ready):
            for entry in jobs:
                scheduler.mark_reporting(self.jobs[entry.job])
            request_id = self._requests.add(Request(link, "status", tuple(entry.job for entry in jobs)), now)
            self._emit(SendMessage(link, Status(id=request_id, instance=self._instance, jobs=jobs)))

    def _ping(self, link: int, now: float) -> None:
        if link in self._connections:
            request_id = self._requests.add(Request(link, "ping", ()), now)
            self._emit(SendMessage(link, Ping(id=request_id)))
            self._timers.set(now + PING_EVERY_S, "ping", str(link))

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)
