"""Write to the spool in order, and hold back what may be sent only after a write.

Everything goes in one transaction, as long as the disk accepts it. When the disk is full, writes that need room have to
wait, and writes that free room must not. Batches that are on disk still get their sequences and are sent, and they are
deleted when they are acknowledged, if necessary in the room of the spool's ballast. So there are two kinds of writes,
each kept in order:

- *growing*: new batches, pieces, jobs, and whatever must not overtake these;
- *freeing*: sequences, acknowledgements, and what belongs to them. A write about a batch that is not on disk yet waits
  for it, and so does every envelope with such a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ..core.session.effects import SendBatches, SendMessage
from ..edge.spool import Spool, SpoolStuckError

log = structlog.get_logger(__name__)

RETRY_S = 1.0
"""Seconds between two attempts to write to a disk that accepts nothing."""

Write = Callable[[], None]


class SpoolWriter:
    """Writes to the spool in order, and holds back what may be sent only after them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._growing: list[Write] = []
        self._freeing: list[tuple[int | None, Write]] = []
        self._cursors: dict[str, str] = {}
        self._sends: list[SendMessage | SendBatches] = []
        self._unwritten: set[int] = set()
        """Batches among the growing writes."""
        self.stuck_until: float | None = None
        """When to try again, while the disk accepts no growing writes; None while it does."""

    @property
    def stuck(self) -> bool:
        """Whether the disk accepts no growing writes."""
        return self.stuck_until is not None

    @property
    def empty(self) -> bool:
        """Whether everything is written and sent."""
        return not (self._growing or self._freeing or self._cursors or self._sends)

    @property
    def sending(self) -> bool:
        """Whether something waits to be sent until the writes before it are done."""
        return bool(self._sends)

    def awaits(self, batch_id: int) -> bool:
        """Return whether a batch is not on disk yet."""
        return batch_id in self._unwritten

    def add_growing(self, write: Write, batch_id: int | None = None) -> None:
        """Schedule a write that needs room.

        Args:
            write: does it, inside a transaction.
            batch_id: the batch that it brings to disk, if it is one.
        """
        self._growing.append(write)
        if batch_id is not None:
            self._unwritten.add(batch_id)

    def add_freeing(self, write: Write, batch_id: int | None = None) -> None:
        """Schedule a write that frees room, or lets something be freed.

        Args:
            write: does it, inside a transaction.
            batch_id: the batch that it is about, if it is about one.
        """
        self._freeing.append((batch_id, write))

    def move_cursor(self, job_id: str, cursor: str) -> None:
        """Schedule the write of the cursor after a job's last closed batch; only the last one is written."""
        self._cursors[job_id] = cursor

    def forget_cursor(self, job_id: str) -> None:
        """Drop a scheduled cursor, because the job will be read from another position."""
        self._cursors.pop(job_id, None)

    def send(self, effect: SendMessage | SendBatches) -> None:
        """Send something after everything that was scheduled before it is written."""
        self._sends.append(effect)

    def commit(self, now: float) -> list[SendMessage | SendBatches]:
        """Write what the disk accepts, and return what may be sent now."""
        if self._growing or self._cursors:
            if self.stuck_until is not None and now < self.stuck_until:
                return self._free_only()
            try:
                self._write_all()
            except SpoolStuckError as error:
                if not self.stuck:
                    log.error(  # noqa: TRY400 - not a bug
                        "the spool cannot be written: reading pauses until its disk accepts writes", error=str(error)
                    )
                self.stuck_until = now + RETRY_S
                return self._free_only()
        elif self._freeing:
            try:
                self._write_with_ballast(self._freeing)
            except SpoolStuckError:
                self.stuck_until = now + RETRY_S
                return []
            self._freeing.clear()
        if self.stuck:
            log.info("the spool can be written again")
            self._spool.restore_ballast()
            self.stuck_until = None
        sends, self._sends = self._sends, []
        return sends

    def _write_all(self) -> None:
        with self._spool.transaction():
            for write in self._growing:
                write()
            for job_id, cursor in self._cursors.items():
                self._spool.set_cursor(job_id, cursor)
            for _, write in self._freeing:
                write()
        self._growing.clear()
        self._cursors.clear()
        self._freeing.clear()
        self._unwritten.clear()

    def _free_only(self) -> list[SendMessage | SendBatches]:
        ready = [(batch_id, write) for batch_id, write in self._freeing if batch_id not in self._unwritten]
        try:
            if ready:
                self._write_with_ballast(ready)
        except SpoolStuckError:
            return []
        self._freeing = [(batch_id, write) for batch_id, write in self._freeing if batch_id in self._unwritten]
        sends, self._sends = self._sends, []
        for effect in sends:
            if isinstance(effect, SendBatches) and any(batch.id in self._unwritten for _, batch in effect.batches):
                self._sends.append(effect)
        return [effect for effect in sends if effect not in self._sends]

    def _write_with_ballast(self, writes: list[tuple[int | None, Write]]) -> None:
        try:
            self._write(writes)
        except SpoolStuckError:
            if not self._spool.delete_ballast():
                raise
            self._write(writes)

    def _write(self, writes: list[tuple[int | None, Write]]) -> None:
        with self._spool.transaction():
            for _, write in writes:
                write()
