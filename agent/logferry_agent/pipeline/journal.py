"""What is to be written to the spool, and what may be sent only after it was.

Everything goes in one transaction, as long as the disk takes it. Disks fill up, though, and then what makes the spool
grow has to wait, while what lets it shrink must not: batches that are on disk are still given their sequences and
sent, and deleted when they are acknowledged, if need be in the room of the spool's ballast. So writes come in two
kinds, kept in order each:

- *growth*: new batches, pieces, jobs, and whatever must not overtake these;
- *settling*: sequences, acknowledgements, and what goes with them. One that concerns a batch which itself still waits
  to be
  written waits too, and so does every envelope with such a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ..core.session.effects import SendBatches, SendMessage
from ..edge.spool import Spool, SpoolStuckError

log = structlog.get_logger(__name__)

RETRY_S = 1.0

Write = Callable[[], None]


class Journal:
    """The writes of one turn after the other."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._growth: list[Write] = []
        self._settling: list[tuple[int | None, Write]] = []
        self._cursors: dict[str, str] = {}
        self._sends: list[SendMessage | SendBatches] = []
        self._unwritten: set[int] = set()
        """Batches among the growth."""
        self.stuck_until: float | None = None
        """When to try again, while the disk takes no growth."""

    @property
    def stuck(self) -> bool:
        """Whether the disk takes no growth."""
        return self.stuck_until is not None

    @property
    def empty(self) -> bool:
        """Whether everything is written and sent."""
        return not (self._growth or self._settling or self._cursors or self._sends)

    @property
    def sending(self) -> bool:
        """Whether something waits to be sent until what comes before it is written."""
        return bool(self._sends)

    def awaits(self, batch_id: int) -> bool:
        """Whether a batch is yet to be written."""
        return batch_id in self._unwritten

    def grow(self, write: Write, batch_id: int | None = None) -> None:
        """Write something that takes room; a new batch names itself."""
        self._growth.append(write)
        if batch_id is not None:
            self._unwritten.add(batch_id)

    def settle(self, write: Write, batch_id: int | None = None) -> None:
        """Write something that lets the spool shrink, about a batch."""
        self._settling.append((batch_id, write))

    def move_cursor(self, job_id: str, cursor: str) -> None:
        """Where a job's last closed batch ends; only the last word counts."""
        self._cursors[job_id] = cursor

    def forget_cursor(self, job_id: str) -> None:
        """The job will be read again from somewhere else."""
        self._cursors.pop(job_id, None)

    def send(self, effect: SendMessage | SendBatches) -> None:
        """SendMessage something, after all that was to be written before it."""
        self._sends.append(effect)

    def commit(self, now: float) -> list[SendMessage | SendBatches]:
        """Write what the disk takes; what may be sent now."""
        if self._growth or self._cursors:
            if self.stuck_until is not None and now < self.stuck_until:
                return self._settle_alone()
            try:
                self._write_all()
            except SpoolStuckError as error:
                if not self.stuck:
                    log.error("the spool cannot be written: reading waits", error=str(error))  # noqa: TRY400 - no bug
                self.stuck_until = now + RETRY_S
                return self._settle_alone()
        elif self._settling:
            try:
                self._with_ballast(self._settling)
            except SpoolStuckError:
                self.stuck_until = now + RETRY_S
                return []
            self._settling.clear()
        if self.stuck:
            log.info("the spool can be written again")
            self._spool.restore_ballast()
            self.stuck_until = None
        sends, self._sends = self._sends, []
        return sends

    def _write_all(self) -> None:
        with self._spool.transaction():
            for write in self._growth:
                write()
            for job_id, cursor in self._cursors.items():
                self._spool.set_cursor(job_id, cursor)
            for _, write in self._settling:
                write()
        self._growth.clear()
        self._cursors.clear()
        self._settling.clear()
        self._unwritten.clear()

    def _settle_alone(self) -> list[SendMessage | SendBatches]:
        ready = [(batch_id, write) for batch_id, write in self._settling if batch_id not in self._unwritten]
        try:
            if ready:
                self._with_ballast(ready)
        except SpoolStuckError:
            return []
        self._settling = [(batch_id, write) for batch_id, write in self._settling if batch_id in self._unwritten]
        sends, self._sends = self._sends, []
        for effect in sends:
            if isinstance(effect, SendBatches) and any(ref.id in self._unwritten for _, ref in effect.batches):
                self._sends.append(effect)
        return [effect for effect in sends if effect not in self._sends]

    def _with_ballast(self, writes: list[tuple[int | None, Write]]) -> None:
        try:
            self._write(writes)
        except SpoolStuckError:
            if not self._spool.relieve():
                raise
            self._write(writes)

    def _write(self, writes: list[tuple[int | None, Write]]) -> None:
        with self._spool.transaction():
            for _, write in writes:
                write()
