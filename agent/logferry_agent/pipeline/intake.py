"""Where readers hand over what they read: bounded, and safe to call from any thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..core.batching.cursor import split_cursor
from ..core.batching.entries import Chunk, PreencodedBatch
from ..core.batching.ports import Job, Offer, Position, Reader


@dataclass(frozen=True, slots=True)
class JobAppeared:
    """A reader saw a job for the first time, or saw it change."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobEnded:
    """Nothing more of a job can be read."""

    job_id: str


@dataclass(frozen=True, slots=True)
class JobProblem:
    """Reading a job fails, or works again (`problem` is None)."""

    job_id: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class ChunkOffered:
    """A chunk was accepted; its entries before the index `begin` are left out."""

    job_id: str
    epoch: int
    chunk: Chunk | PreencodedBatch
    begin: int


Arrival = JobAppeared | JobEnded | JobProblem | ChunkOffered


@dataclass(slots=True)
class _ReadPosition:
    """How far a job was read."""

    epoch: int
    cursor: str | None
    last: Chunk | PreencodedBatch | None = None
    """The last chunk offered. Its end is the position, worked out only when somebody asks."""
    skip: int = 0
    """How many of the next entries to leave out."""
    latest: int | None = None
    """The latest time known before the position, in microseconds since 1970; None when none is known."""


class Intake:
    """The pipeline as readers see it: `core.batching.ports.Sink`, and the pipeline's side of it."""

    def __init__(self, limit_bytes: int, wake: Callable[[], None]) -> None:
        """Start without jobs.

        Args:
            limit_bytes: how many bytes of chunks may wait for the pipeline.
            wake: tells the pipeline that something has arrived; called from any thread.
        """
        self._limit, self._wake = limit_bytes, wake
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0
        self._closed = False
        self._positions: dict[str, _ReadPosition] = {}
        self._jobs: dict[str, Job] = {}
        self.reader: Reader | None = None
        """Set when the pipeline starts."""

    # --- for readers --------------------------------------------------------------------------------------------

    def known_jobs(self) -> list[Job]:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            return list(self._jobs.values())

    def job_appeared(self, job: Job) -> Position:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            read = self._positions.setdefault(job.id, _ReadPosition(1, None))
            self._jobs[job.id] = job
            self._arrivals.append(JobAppeared(job))
            if read.last is not None:
                read.cursor = read.last.end
                read.last = None
            position = Position(read.epoch, read.cursor, read.skip, read.latest)
        self._wake()
        return position

    def job_changed(self, job: Job) -> None:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            self._positions.setdefault(job.id, _ReadPosition(1, None))
            self._jobs[job.id] = job
            self._arrivals.append(JobAppeared(job))
        self._wake()

    def job_ended(self, job_id: str) -> None:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            self._jobs.pop(job_id, None)
            self._arrivals.append(JobEnded(job_id))
        self._wake()

    def job_problem(self, job_id: str, problem: str | None) -> None:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            self._arrivals.append(JobProblem(job_id, problem))
        self._wake()

    def offer(self, job_id: str, epoch: int, chunk: Chunk | PreencodedBatch) -> Offer:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            read = self._positions.get(job_id)
            if read is None or read.epoch != epoch:
                return Offer.STALE
            if self._closed or (self._bytes and self._bytes + chunk.size > self._limit):
                return Offer.FULL
            begin = min(read.skip, chunk.count)
            read.skip -= begin
            read.last = chunk
            self._bytes += chunk.size
            self._arrivals.append(ChunkOffered(job_id, epoch, chunk, begin))
        self._wake()
        return Offer.TAKEN

    def position_lost(self, job_id: str, epoch: int) -> None:
        """See `core.batching.ports.Sink`."""
        with self._lock:
            read = self._positions.get(job_id)
            if read is not None and read.epoch == epoch:
                read.skip = 0

    def wait_for_room(self, timeout_s: float) -> bool:
        """See `core.batching.ports.Sink`."""
        with self._room:
            return self._room.wait_for(self._has_room, timeout_s)

    # --- for the pipeline ---------------------------------------------------------------------------------------

    def restore(self, jobs: Iterable[tuple[Job, str | None, int | None]]) -> None:
        """Bring back the jobs that the spool knows.

        Args:
            jobs: each with the cursor after its last entry in the spool, and the latest time known before that.
        """
        with self._lock:
            for job, cursor, latest in jobs:
                base, skip = split_cursor(cursor)
                self._positions[job.id] = _ReadPosition(1, base, skip=skip, latest=latest)
                self._jobs[job.id] = job

    def reposition(self, job_id: str, cursor: str | None) -> Position:
        """Begin a new epoch of a job at a cursor; what was offered in the previous epoch is void."""
        base, skip = split_cursor(cursor)
        with self._lock:
            read = self._positions.setdefault(job_id, _ReadPosition(0, None))
            read.epoch += 1
            read.cursor, read.last, read.skip, read.latest = base, None, skip, None
            return Position(read.epoch, base, skip)

    def reread(self, job_id: str, cursor: str | None) -> None:
        """Begin a new epoch of a job at a cursor, and let the reader continue there."""
        position = self.reposition(job_id, cursor)
        if self.reader is not None:
            self.reader.reread(job_id, position)

    def current(self, arrival: ChunkOffered) -> bool:
        """Return whether a chunk still belongs to its job's epoch."""
        with self._lock:
            read = self._positions.get(arrival.job_id)
            return read is not None and read.epoch == arrival.epoch

    def forget(self, job_id: str) -> None:
        """Forget a job, unless a reader has seen it again."""
        with self._lock:
            if job_id not in self._jobs:
                self._positions.pop(job_id, None)

    def take(self, limit_bytes: int) -> list[Arrival]:
        """Remove and return what arrived, in order, up to about this many bytes of chunks."""
        taken: list[Arrival] = []
        size = 0
        with self._room:
            while self._arrivals and size < limit_bytes:
                arrival = self._arrivals.popleft()
                taken.append(arrival)
                if isinstance(arrival, ChunkOffered):
                    size += arrival.chunk.size
            self._bytes -= size
            if size and self._has_room():
                self._room.notify_all()
        return taken

    @property
    def pending(self) -> bool:
        """Whether something waits to be taken."""
        return bool(self._arrivals)

    def set_closed(self, closed: bool) -> None:
        """Stop accepting chunks (the spool is full), or accept them again."""
        with self._room:
            self._closed = closed
            if not closed:
                self._room.notify_all()

    def _has_room(self) -> bool:
        """Return whether a refused reader should offer again: earlier than at half the limit, it would be refused."""
        return not self._closed and self._bytes * 2 <= self._limit
