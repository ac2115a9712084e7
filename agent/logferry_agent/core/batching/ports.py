"""The protocols between the sources that read logs and the pipeline that ships them.

Both sides are written against these protocols, so a test can replace either side by a fake. The entries that pass
between them are in entries.py.

The life of a job, as both sides see it:

1. A reader finds a container and calls `Sink.job_appeared`, which returns where to read from (`Position`).
2. The reader reads, and offers chunks with the epoch of its position. Each answer says whether the chunk was taken.
3. The pipeline may find that the cloud holds other entries than the spool (spool lost, disk rolled back, another
   agent). Then it opens a new epoch and calls `Reader.reread`. From then on it refuses chunks of an older epoch as
   stale.
4. `Sink.job_changed` passes every change of state or metadata. The states `exited` and `removed` ship the open batch at
   once.
5. `Sink.job_ended` says that the log has no more entries (removed, and read to its end). The pipeline forgets the job
   when all its entries are acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from logferry_protocol.job import Container, LifeCycle, SourceName

from .entries import Chunk, PreencodedBatch


@dataclass(frozen=True, slots=True)
class Job:
    """A container as it is known now."""

    id: str
    """The container's id, 64 hexadecimal digits."""
    container: Container
    life: LifeCycle


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read a job from.

    Attributes:
        epoch: the number to offer chunks with.
        cursor: read after it. None: the job was never read, so the setting `start_at` decides.
        skip: how many entries after the cursor the pipeline leaves out, because it already has them.
        last: the latest time (microseconds since 1970) that was read before this position. It is used when the cursor
            cannot be decoded.
    """

    epoch: int
    cursor: str | None
    skip: int = 0
    last: int | None = None


class Offer(Enum):
    """The answer to an offered chunk."""

    TAKEN = "taken"
    FULL = "full"
    """Nothing was taken. Keep the chunk (or stop reading), call `wait_for_room`, and offer it again."""
    STALE = "stale"
    """The epoch is over. Discard the chunk: the pipeline calls `Reader.reread` with the new position."""


class Sink(Protocol):
    """The pipeline as readers see it. Every method may be called from any thread and returns at once."""

    def known_jobs(self) -> list[Job]:
        """Return the jobs that have not ended, as they were last seen, perhaps before this start of the agent.

        After a complete list of the engine's containers, the reader ends those jobs that the list does not contain. It
        records a gap entry for a job whose end it did not see.
        """
        ...

    def job_appeared(self, job: Job) -> Position:
        """Add a job, or add it again after a reconnect to the engine, and return where to read it from."""
        ...

    def job_changed(self, job: Job) -> None:
        """Pass a job's new state or metadata. An unknown job is added."""
        ...

    def job_ended(self, job_id: str) -> None:
        """End a job whose log has no more entries. All its chunks have been offered and taken."""
        ...

    def job_problem(self, job_id: str, problem: str | None) -> None:
        """Show in one sentence why a job cannot be read, or clear the sentence with None."""
        ...

    def offer(self, job_id: str, epoch: int, chunk: Chunk | PreencodedBatch) -> Offer:
        """Hand over a chunk. Once it is TAKEN, the pipeline owns it and the caller must not change it."""
        ...

    def position_lost(self, job_id: str, epoch: int) -> None:
        """Say that the position's cursor cannot be decoded.

        The next chunk begins somewhere else, so the pipeline leaves no entries out.
        """
        ...

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds until an offer can be taken again. Return False on a timeout."""
        ...


class Source(Protocol):
    """One container's log, read forward."""

    @property
    def name(self) -> SourceName:
        """Return what the source reads from, or `none` when the log cannot be read."""
        ...

    @property
    def ended(self) -> bool:
        """Return whether everything has been read and nothing more can come."""
        ...

    def read(self, limit_bytes: int) -> Chunk | PreencodedBatch | None:
        """Read about `limit_bytes` bytes. Return None when there is nothing new now.

        A loss is a gap entry in the chunk, never an exception.
        """
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


class Reader(Protocol):
    """Discovery and all sources together, as the pipeline sees them."""

    def start(self, sink: Sink) -> None:
        """Start to discover and read, in threads of its own."""
        ...

    def reread(self, job_id: str, position: Position) -> None:
        """Read a job again from another position.

        The pipeline's thread calls this method, so return at once and never call `Sink.offer` inside. When the
        container is gone, call `Sink.job_ended`.
        """
        ...

    def stop(self) -> None:
        """Stop reading. When this method returns (within 3 s), nothing is offered any more."""
        ...
