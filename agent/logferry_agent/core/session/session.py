"""What the agent says to the cloud, and what it makes of the answers.

Theory of operation
-------------------
Everything is keyed by job. A job is opened before anything of it is sent; the answer tells where the cloud stands, and
`reconcile` compares that with the spool. Then its queued batches go one at a time: the next one is given its sequence
when the one before is acknowledged, so what the cloud stores is always a gap-free prefix, and each put is a
compare-and-set on the tip. Many jobs go in parallel, several in an envelope, as many envelopes as the window allows.

Nothing relies on the order, number or arrival of answers:

- An answer that does not come is the same as a retry: the same bytes are sent again under the same sequence.
- A cut connection closes every job on it: after the next `open`, tip and digest tell what became of the batch in
  flight.
- A second connection (opened before the 2-hour limit closes the first) takes over job by job, as their answers come in.

The modules of this package:

- `job_state` is the table of a job's phases; `scheduler` changes them and knows what comes next.
- `responses` applies the cloud's answers to the jobs.
- `pending_requests` and `connections` record what was asked on which connection.
- `envelope` fills the frames, and this module sends what can be sent after each event.

None of them knows a clock, a socket or a disk. The shell passes `now` (seconds, monotonic) and carries out the
effects, in order: what they write goes to the spool *before* what they send goes out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random

from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import Error, Ingested, Noted, Open, Opened, Ping, Pong, Status, ToAgent, Watch

from .congestion_window import Window
from .connections import Connections
from .effects import Counted, Effect, Hang, Send, Ship
from .envelope import batches_to_send, jobs_to_open, statuses_to_send
from .job_record import JobState, Ref
from .job_state import Event, Phase
from .pending_requests import Request, Requests
from .responses import Answers
from .scheduler import Agenda
from .timers import Timers

PING_EVERY_S = 240.0
"""Against API Gateway's 10-minute idle limit."""


class Session:
    """One agent's conversation with the cloud, over one connection after the other."""

    def __init__(self, instance: str, rng: Random, *, answer_timeout_s: float = 10.0) -> None:
        self._instance = instance
        self._effects: list[Effect] = []
        self._timers = Timers()
        self._window = Window()
        self._connections = Connections()
        self._requests = Requests(f"{rng.getrandbits(32):08x}", self._timers, answer_timeout_s)
        self._agenda = Agenda(self._connections, self._timers, rng, self._emit)
        self._answers = Answers(
            self._agenda,
            self._requests,
            connections=self._connections,
            window=self._window,
            timers=self._timers,
            rng=rng,
            emit=self._emit,
        )
        self.jobs = self._agenda.jobs

    # --- what the shell asks ------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether a connection stands."""
        return self._connections.current is not None

    @property
    def in_flight(self) -> int:
        """Envelopes not yet answered."""
        return self._requests.envelopes

    @property
    def window(self) -> int:
        """Envelopes that may be unanswered at once."""
        return self._window.size

    def idle(self, job_id: str, now: float) -> bool:
        """Whether a batch of the job would be sent at once, if there was one."""
        job, link = self.jobs[job_id], self._connections.current
        return job.phase is Phase.READY and not job.queue and now >= job.not_before and job.link == link is not None

    def watched(self, job_id: str, now: float) -> bool:
        """Whether somebody looks at the job."""
        return now < self.jobs[job_id].watched_until

    def deadline(self) -> float | None:
        """When to call `advance` next, if nothing happens before."""
        return self._timers.next

    def effects(self) -> list[Effect]:
        """What is to be done since the last call, in order."""
        for link in self._connections.leave(self._requests.links):
            self._emit(Hang(link, "replaced"))
        effects, self._effects = self._effects, []
        return effects

    # --- jobs ---------------------------------------------------------------------------------------------------

    def add(self, job: JobState, now: float) -> None:
        """Take on a job, as the spool knows it; batches of it that are queued already are in its queue."""
        self._agenda.add(job)
        self._pump(now)

    def change(self, job_id: str, container: Container, life: LifeCycle, now: float) -> None:
        """The engine says something new of a job."""
        job = self.jobs[job_id]
        job.container, job.life = container, life
        self._agenda.want_send(job)
        self._agenda.report(job)
        self._pump(now)

    def end(self, job_id: str, now: float) -> None:
        """Nothing more of a job will be queued."""
        job = self.jobs[job_id]
        job.ended = True
        self._agenda.report(job)
        self._pump(now)

    def queue(self, job_id: str, ref: Ref, now: float) -> None:
        """A batch was closed; it is on disk before its sequence is."""
        job = self.jobs[job_id]
        job.queue.append(ref)
        self._agenda.want_send(job)
        self._pump(now)

    def requeue(self, job_id: str, refs: Iterable[Ref], now: float) -> None:
        """Put another queue in the place of a job's: after a gap took the place of some of it."""
        job = self.jobs[job_id]
        job.queue = deque(refs)
        self._agenda.want_send(job)
        self._pump(now)

    # --- connections --------------------------------------------------------------------------------------------

    def connected(self, link: int, now: float) -> None:
        """A connection stands; the one before it, if any, is left as soon as its answers are in."""
        self._connections.up(link)
        self._timers.set(now + PING_EVERY_S, "ping", str(link))
        for job in self.jobs.values():
            if job.phase is Phase.READY:
                self._agenda.move(job, Event.REOPEN)
        self._pump(now)

    def lost(self, link: int, now: float) -> None:
        """A connection is gone, with every request on it."""
        self._answers.lost(link)
        self._pump(now)

    def received(self, link: int, message: ToAgent | None, now: float) -> None:
        """A message came; None for one that could not be read."""
        self._connections.heard(link)
        match message:
            case Opened():
                self._answers.opened(message, now)
            case Ingested():
                self._answers.ingested(message, now)
            case Noted():
                self._answers.noted(message, now)
            case Watch():
                if (job := self.jobs.get(message.job)) is not None:
                    job.watch(message, now)
            case Error():
                self._answers.error(link, message, now)
            case Pong():
                self._requests.answered(message.id)
            case None:
                # API Gateway's own errors name no request: whichever it was will time out.
                self._emit(Counted("error", detail="unreadable message"))
        self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        for kind, key in self._timers.due(now):
            match kind:
                case "answer":
                    self._answers.timed_out(key, now)
                case "job":
                    self._agenda.due(key, now)
                case "ping":
                    self._ping(int(key), now)
                case "report":
                    self._agenda.report_due(key, now)
                case "wake":
                    pass
        self._pump(now)

    def leave(self, now: float) -> None:
        """The agent ends: it tells what it has not yet of its jobs' growth, if there is a connection."""
        for job in list(self.jobs.values()):
            if job.reporting is not None:
                job.noted, job.reporting = job.reporting, None  # nobody will hear the answer
            self._agenda.report(job, grown=job.tip > 0)
        self._pump(now)

    # --- sending ------------------------------------------------------------------------------------------------

    def _pump(self, now: float) -> None:
        """Send what can be sent now."""
        link = self._connections.current
        if link is None:
            return
        self._send_opens(link, now)
        if self._window.is_open(now):
            self._send_batches(link, now)
        self._send_reports(link, now)

    def _send_opens(self, link: int, now: float) -> None:
        agenda = self._agenda
        while agenda.to_open and len(self._requests) < self._window.size:
            jobs = jobs_to_open(agenda.states(agenda.to_open), now)
            if not jobs:
                return
            request_id = self._requests.ask(Request(link, "open", tuple(entry.job for entry in jobs)), now)
            for entry in jobs:
                agenda.opening(self.jobs[entry.job], link, request_id)
            self._emit(Send(link, Open(id=request_id, instance=self._instance, jobs=jobs)))

    def _send_batches(self, link: int, now: float) -> None:
        agenda = self._agenda
        while agenda.to_send and len(self._requests) < self._window.size:
            chosen = batches_to_send(agenda.states(agenda.to_send), now)
            if not chosen:
                return
            batches = tuple((job.id, ref) for job, ref in chosen)
            request = Request(
                link, "ingest", tuple(job_id for job_id, _ in batches), tuple(ref.id for _, ref in batches)
            )
            request_id = self._requests.ask(request, now)
            for job, ref in chosen:
                agenda.sending(job, ref, request_id, now)
            self._emit(Ship(link, request_id, batches))

    def _send_reports(self, link: int, now: float) -> None:
        agenda = self._agenda
        ready = [job for job in agenda.states(agenda.to_report) if job.phase in {Phase.READY, Phase.SENDING}]
        for jobs in statuses_to_send(ready):
            for entry in jobs:
                agenda.reporting(self.jobs[entry.job])
            request_id = self._requests.ask(Request(link, "status", tuple(entry.job for entry in jobs)), now)
            self._emit(Send(link, Status(id=request_id, instance=self._instance, jobs=jobs)))

    def _ping(self, link: int, now: float) -> None:
        if link in self._connections:
            request_id = self._requests.ask(Request(link, "ping", ()), now)
            self._emit(Send(link, Ping(id=request_id)))
            self._timers.set(now + PING_EVERY_S, "ping", str(link))

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)
