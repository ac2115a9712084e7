"""Where chunks come in: the readers' side of the pipeline, bounded and safe to call from any thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..core.batching.cursor import split_cursor
from ..core.batching.entries import Chunk, PreencodedBatch
from ..core.batching.ports import Job, Offer, Position


@dataclass(frozen=True, slots=True)
class Appeared:
    """A job was seen, or changed."""

    job: Job


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes of a job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Troubled:
    """Reading a job fails, or is well again."""

    job_id: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Offered:
    """A chunk was taken; its entries count from `begin` on."""

    job_id: str
    epoch: int
    chunk: Chunk | PreencodedBatch
    begin: int


Arrival = Appeared | Ended | Troubled | Offered


@dataclass(slots=True)
class _Place:
    """How far a job was read."""

    epoch: int
    cursor: str | None
    last: Chunk | PreencodedBatch | None = None
    """The last chunk offered; its end is the place, worked out only when somebody asks."""
    skip: int = 0
    """Entries still to be left out."""
    latest: int | None = None
    """The latest time known before the place; None where there is none."""


class Intake:
    """The pipeline as readers see it (see `core.chunk.Sink`)."""

    def __init__(self, limit_bytes: int, wake: Callable[[], None]) -> None:
        self._limit, self._wake = limit_bytes, wake
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0
        self._closed = False
        self._places: dict[str, _Place] = {}
        self._jobs: dict[str, Job] = {}

    # --- for readers --------------------------------------------------------------------------------------------

    def known(self) -> list[Job]:
        """See `core.chunk.Sink`."""
        with self._lock:
            return list(self._jobs.values())

    def job_appeared(self, job: Job) -> Position:
        """See `core.chunk.Sink`."""
        with self._lock:
            place = self._places.setdefault(job.id, _Place(1, None))
            self._jobs[job.id] = job
            self._arrivals.append(Appeared(job))
            if place.last is not None:
                place.cursor = place.last.end
                place.last = None
            position = Position(place.epoch, place.cursor, place.skip, place.latest)
        self._wake()
        return position

    def job_changed(self, job: Job) -> None:
        """See `core.chunk.Sink`."""
        with self._lock:
            self._places.setdefault(job.id, _Place(1, None))
            self._jobs[job.id] = job
            self._arrivals.append(Appeared(job))
        self._wake()

    def job_ended(self, job_id: str) -> None:
        """See `core.chunk.Sink`."""
        with self._lock:
            self._jobs.pop(job_id, None)
            self._arrivals.append(Ended(job_id))
        self._wake()

    def job_troubled(self, job_id: str, problem: str | None) -> None:
        """See `core.chunk.Sink`."""
        with self._lock:
            self._arrivals.append(Troubled(job_id, problem))
        self._wake()

    def offer(self, job_id: str, epoch: int, chunk: Chunk | PreencodedBatch) -> Offer:
        """See `core.chunk.Sink`."""
        with self._lock:
            place = self._places.get(job_id)
            if place is None or place.epoch != epoch:
                return Offer.STALE
            if self._closed or (self._bytes and self._bytes + chunk.size > self._limit):
                return Offer.FULL
            begin = min(place.skip, chunk.count)
            place.skip -= begin
            place.last = chunk
            self._bytes += chunk.size
            self._arrivals.append(Offered(job_id, epoch, chunk, begin))
        self._wake()
        return Offer.TAKEN

    def misplaced(self, job_id: str, epoch: int) -> None:
        """See `core.chunk.Sink`."""
        with self._lock:
            place = self._places.get(job_id)
            if place is not None and place.epoch == epoch:
                place.skip = 0

    def wait_for_room(self, timeout_s: float) -> bool:
        """See `core.chunk.Sink`."""
        with self._room:
            return self._room.wait_for(self._has_room, timeout_s)

    # --- for the pipeline ---------------------------------------------------------------------------------------

    def restore(self, jobs: Iterable[tuple[Job, str | None, int | None]]) -> None:
        """Jobs that the spool knows, with the cursor after the last entry in it, and the latest time before that."""
        with self._lock:
            for job, cursor, latest in jobs:
                base, skip = split_cursor(cursor)
                self._places[job.id] = _Place(1, base, skip=skip, latest=latest)
                self._jobs[job.id] = job

    def reposition(self, job_id: str, cursor: str | None) -> Position:
        """Begin a new epoch of a job at a cursor; what was offered in the one before is void."""
        base, skip = split_cursor(cursor)
        with self._lock:
            place = self._places.setdefault(job_id, _Place(0, None))
            place.epoch += 1
            place.cursor, place.last, place.skip, place.latest = base, None, skip, None
            return Position(place.epoch, base, skip)

    def current(self, arrival: Offered) -> bool:
        """Whether a chunk still belongs to its job's epoch."""
        with self._lock:
            place = self._places.get(arrival.job_id)
            return place is not None and place.epoch == arrival.epoch

    def forget(self, job_id: str) -> None:
        """A job is done with."""
        with self._lock:
            if job_id not in self._jobs:
                self._places.pop(job_id, None)

    def take(self, limit_bytes: int) -> list[Arrival]:
        """What came in, in order, up to about so many bytes of chunks."""
        taken: list[Arrival] = []
        size = 0
        with self._room:
            while self._arrivals and size < limit_bytes:
                arrival = self._arrivals.popleft()
                taken.append(arrival)
                if isinstance(arrival, Offered):
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
        """Take no chunks for now (the spool is full), or again."""
        with self._room:
            self._closed = closed
            if not closed:
                self._room.notify_all()

    def _has_room(self) -> bool:
        """Whether who was refused should offer again: not before half of it is free, or it would be refused again."""
        return not self._closed and self._bytes * 2 <= self._limit
