"""Test `pipeline/spool_writer.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from logferry_agent.core.session.effects import SendBatches, SendMessage
from logferry_agent.core.session.job_record import QueuedBatch
from logferry_agent.edge.spool import SpoolStuckError
from logferry_agent.pipeline.spool_writer import RETRY_S, SpoolWriter
from logferry_protocol.messages import Ping


class FakeSpool:
    """Record what was written; `room` is how many writes a transaction may hold."""

    def __init__(self) -> None:
        self.room = 99
        self.ballast = 0
        self.written: list[str] = []
        self.cursors: dict[str, str] = {}
        self._now: list[str] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._now = []
        yield
        if len(self._now) > self.room:
            raise SpoolStuckError("full")
        self.written += self._now

    def write(self, what: str) -> None:
        self._now.append(what)

    def set_cursor(self, job: str, cursor: str) -> None:
        self._now.append(f"cursor {job} {cursor}")

    def delete_ballast(self) -> bool:
        had, self.ballast = self.ballast, 0
        self.room += had
        return had > 0

    def restore_ballast(self) -> None:
        self.ballast = 1


def ship(*ids: int) -> SendBatches:
    refs = [QueuedBatch(id=number, count=1, raw=1, gaps=0, start=1, end=1, digest="", size=1) for number in ids]
    return SendBatches(1, f"r{ids}", tuple((f"job {ref.id}", ref) for ref in refs))


def writer() -> tuple[SpoolWriter, FakeSpool]:
    spool = FakeSpool()
    return SpoolWriter(spool), spool  # type: ignore[arg-type]


def test_everything_is_written_before_anything_is_sent() -> None:
    """Growth, cursors, then deletions; one transaction."""
    book, spool = writer()
    book.add_freeing(lambda: spool.write("assign 1"), 1)
    book.add_growing(lambda: spool.write("append 1"), 1)
    book.move_cursor("job", "old")
    book.move_cursor("job", "new")
    book.send(ship(1))
    assert book.commit(0) == [ship(1)]
    assert spool.written == ["append 1", "cursor job new", "assign 1"]
    assert book.empty


def test_full_disk_holds_growth_back_but_not_deletions() -> None:
    """Nor messages about batches that are on disk."""
    book, spool = writer()
    spool.room = 1
    ping = SendMessage(1, Ping(id="p"))
    book.add_growing(lambda: spool.write("append 2"), 2)
    book.add_freeing(lambda: spool.write("assign 2"), 2)
    book.add_freeing(lambda: spool.write("remove 1"), 1)
    for effect in (ship(2), ship(1), ping):
        book.send(effect)
    assert book.commit(0) == [ship(1), ping]
    assert book.stuck
    assert spool.written == ["remove 1"]
    spool.room = 99
    assert book.commit(RETRY_S / 2) == []
    assert book.commit(RETRY_S) == [ship(2)]
    assert spool.written == ["remove 1", "append 2", "assign 2"]
    assert not book.stuck


def test_ballast_is_only_for_deletions() -> None:
    """Growth would use it up and be stuck again."""
    book, spool = writer()
    spool.room, spool.ballast = 0, 1
    book.add_growing(lambda: spool.write("append 2"), 2)
    book.commit(0)
    assert spool.ballast == 1
    book.add_freeing(lambda: spool.write("remove 1"), 1)
    book.commit(0.1)
    assert (spool.ballast, spool.written) == (0, ["remove 1"])


def test_read_only_disk_keeps_everything() -> None:
    """Nothing is sent that was not written."""
    book, spool = writer()
    spool.room = 0
    book.add_freeing(lambda: spool.write("assign 1"), 1)
    book.send(ship(1))
    assert book.commit(0) == []
    assert not book.empty
    spool.room = 99
    assert book.commit(RETRY_S) == [ship(1)]
