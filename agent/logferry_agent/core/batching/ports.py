"""What passes between the sources that read logs and the pipeline that ships them.

The pipeline is columnar from end to end: a chunk holds many entries as parallel columns, and nothing makes an object
for one entry. Both sides are written against the protocols here, so either can be replaced by a fake in a test.

Life of a job, as the two sides see it:

1. A reader sees a container and calls `Sink.job_appeared`, which answers where to read from (`Position`).
2. It reads, and offers chunks under the position's epoch. Each answer says whether the chunk was taken.
3. When the cloud turns out to hold something else than the spool (spool lost, disk rolled back, another agent), the
   pipeline opens a new epoch and calls `Reader.reread`; chunks of an older epoch are refused as stale from then on.
4. `Sink.job_changed` passes every change of state or metadata. An `exited` or `removed` state ships what is there at
once.
5. `Sink.job_ended` says that nothing more can ever be read (removed, and read to its end): once all is acknowledged the
   job is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from logferry_protocol.job import Container, LifeCycle, SourceName

if TYPE_CHECKING:
    from .sealed import Sealed


@dataclass(slots=True)
class Chunk:
    """Consecutive entries of one job, in columns of equal length (at least one entry).

    times: microseconds since the epoch, one per entry.
    streams: one character per entry, as on the wire (`o` `e`, `O` `E` continuation, `s` system event as JSON).
    texts: one text per entry, at most 16,384 bytes in UTF-8, without line end.
    size: about how many bytes the texts hold (exactness does not matter; queues are bounded by it).
    cursor_at: the cursor after the i-th entry, i in 1..len(texts), at most 1,024 characters of printable ASCII without
        quote and backslash; the pipeline calls it only where a batch or a write to the spool ends, and may call it
        later
        and from another thread than the one that made the chunk.
    """

    times: list[int]
    streams: str
    texts: list[str]
    size: int
    cursor_at: Callable[[int], str]

    @property
    def count(self) -> int:
        """How many entries it holds."""
        return len(self.texts)

    @property
    def end(self) -> str:
        """The cursor after its last entry."""
        return self.cursor_at(len(self.texts))


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a container now."""

    id: str
    """The container's id, 64 hexadecimal digits."""
    container: Container
    life: LifeCycle


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read a job from: after `cursor`, or as `start_at` says when it is None (never read before).

    skip: entries behind the cursor that the pipeline leaves out, as it has them.
    last: the latest time (microseconds) that is known to be before this place; for a cursor that cannot be understood.
    """

    epoch: int
    cursor: str | None
    skip: int = 0
    last: int | None = None


class Offer(Enum):
    """What became of an offered chunk."""

    TAKEN = "taken"
    FULL = "full"
    """Nothing was taken: keep the chunk (or do not read on), `wait_for_room`, and offer it again."""
    STALE = "stale"
    """The epoch is over: throw the chunk away; `Reader.reread` was or is being called with the new position."""


class Sink(Protocol):
    """The pipeline as readers see it; every method may be called from any thread, and returns at once."""

    def known(self) -> list[Job]:
        """Jobs that are not ended yet, as they were last seen (before this start of the agent, perhaps).

        After a whole listing of the engine, those that it does not show are gone: the reader says so in a gap entry
        when it did not see their end, and ends them.
        """
        ...

    def job_appeared(self, job: Job) -> Position:
        """Make a job known (again, after a reconnect to the engine) and learn where to read it from."""
        ...

    def job_changed(self, job: Job) -> None:
        """Pass a job's new state or metadata; unknown jobs are taken as appeared."""
        ...

    def job_ended(self, job_id: str) -> None:
        """Say that nothing more can be read of a job, ever; all that was read has been offered and taken."""
        ...

    def job_troubled(self, job_id: str, problem: str | None) -> None:
        """Show what is wrong with reading a job, in one sentence for a person, or None when it is well again."""
        ...

    def offer(self, job_id: str, epoch: int, chunk: Chunk | Sealed) -> Offer:
        """Hand over a chunk; once TAKEN it is the pipeline's and must not be changed."""
        ...

    def misplaced(self, job_id: str, epoch: int) -> None:
        """Say that a position could not be understood: what is offered begins elsewhere, so nothing is left out."""
        ...

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until an offer can be taken again, at most so long; False when there is still no room."""
        ...


class Source(Protocol):
    """One container's log, read forward."""

    @property
    def name(self) -> SourceName:
        """What it reads from; `none` where the log turned out not to be readable."""
        ...

    @property
    def ended(self) -> bool:
        """True when nothing more can come, and all that came has been read."""
        ...

    def read(self, limit_bytes: int) -> Chunk | Sealed | None:
        """Read on, about as many bytes as the limit; None when there is nothing new now.

        Losses are values: a gap entry in the chunk, never an exception.
        """
        ...

    def close(self) -> None:
        """Give files and connections back."""
        ...


class Reader(Protocol):
    """Discovery and all sources together, as the pipeline sees them."""

    def start(self, sink: Sink) -> None:
        """Begin to discover and read, in threads of its own."""
        ...

    def reread(self, job_id: str, position: Position) -> None:
        """Read a job again from another position. Called from the pipeline's thread: return at once, never offer
        inside.

        When the container is gone, answer by `Sink.job_ended`.
        """
        ...

    def stop(self) -> None:
        """Read no more; when it returns (within 3 s) nothing will be offered any longer."""
        ...
