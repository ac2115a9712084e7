"""Test `edge/spool.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from logferry_agent.core.batching.entries import Batch, SavedEntries
from logferry_agent.edge.spool import FORMAT, Spool, SpoolError, SpoolLockedError, SpoolStuckError, StoredJob

JOB = "a" * 64


def batch(serial: int, body: bytes = b"body") -> Batch:
    return Batch(
        count=2, start=serial, end=serial + 1, raw=9, gaps=0, cursor=f"c{serial}", digest=f"{serial:064x}", body=body
    )


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, "engine")
    yield spool
    spool.close()


def reopened(spool: Spool) -> Spool:
    spool.close()
    return Spool(spool.folder, "engine")


def test_batches_jobs_and_parts_come_back_as_written(spool: Spool) -> None:
    """All of a spool's content survives its process."""
    job = StoredJob(JOB, "{}", "{}", True, 7, "d" * 64, "cursor", 10, 1, 99)
    piece = SavedEntries([1, 2], "oe", ["a", "é\x00"], "p1")
    with spool.transaction():
        spool.put_job(job)
        spool.append(5, JOB, batch(5))
        spool.append(6, JOB, batch(6, b"gap"), gap=True)
        spool.assign(5, 8)
        spool.save_piece(JOB, piece)
    made, size = spool.made, spool.bytes
    again = reopened(spool)
    assert again.jobs() == [job]
    assert [(s.id, s.first, s.gap, s.size, s.batch.cursor) for s in again.queue()] == [
        (5, 8, False, 4, "c5"),
        (6, None, True, 3, "c6"),
    ]
    assert list(again.pieces()) == [(JOB, piece)]
    loaded = again.load(5)
    assert loaded is not None
    assert loaded.batch == batch(5)
    assert (again.made, again.bytes) == (made, size)
    again.close()


def test_spool_of_an_older_version_is_used_and_can_be_returned(tmp_path: Path) -> None:
    """From before held-back entries were stored: an agent is upgraded, and downgraded again."""
    spool = Spool(tmp_path, "engine")
    with spool.transaction():
        spool.append(5, JOB, batch(5))
    spool.close()
    with sqlite3.connect(spool.path) as earlier:
        earlier.execute("DROP TABLE held")
    earlier.close()
    spool = Spool(tmp_path, "engine")
    assert spool.set_aside is None
    assert [stored.id for stored in spool.queue()] == [5]
    assert list(spool.held()) == []
    with spool.transaction():
        spool.save_held(JOB, None, SavedEntries([1], "o", ["a"], "p1"))
    assert list(reopened(spool).held()) == [(JOB, None, SavedEntries([1], "o", ["a"], "p1"))]
    assert FORMAT == "1", "an earlier version reads it"


def test_byte_count_follows_the_queue(spool: Spool) -> None:
    """It enforces the spool's limit."""
    empty = spool.bytes
    with spool.transaction():
        spool.append(1, JOB, batch(1, bytes(5_000)))
        spool.append(2, JOB, batch(2, bytes(3_000)))
        spool.save_piece(JOB, SavedEntries([1], "o", ["x" * 500], "p"))
    assert spool.bytes > 8_500
    with spool.transaction():
        spool.replace(2, batch(2, b"gap"))
        spool.remove(1)
        spool.drop_pieces(JOB)
    assert spool.bytes < 1_000
    with spool.transaction():
        spool.forget(JOB)
    assert spool.bytes == empty


def test_failed_transaction_leaves_nothing(spool: Spool) -> None:
    """Batch and cursor, or neither."""
    with pytest.raises(ZeroDivisionError), spool.transaction():  # noqa: PT012 - what it is about
        spool.append(1, JOB, batch(1))
        raise ZeroDivisionError
    assert list(spool.queue()) == []
    assert spool.bytes == 0


def test_second_agent_on_one_spool_is_refused(spool: Spool) -> None:
    """The message names the first."""
    with pytest.raises(SpoolLockedError, match="another agent"):
        Spool(spool.folder, "engine")


def test_cloned_disk_starts_its_own_spool(spool: Spool) -> None:
    """The file is named after the engine."""
    with spool.transaction():
        spool.put_job(StoredJob(JOB, "{}", "{}"))
    clone = Spool(spool.folder, "another engine")
    assert clone.jobs() == []
    clone.close()


@pytest.mark.parametrize("damage", [b"not a database at all", bytes(4096)])
def test_damaged_spool_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    """It can be examined, and the agent continues with a new one."""
    first = Spool(tmp_path, "engine")
    first.close()
    first.path.write_bytes(damage)
    second = Spool(tmp_path, "engine")
    assert second.set_aside is not None
    assert second.set_aside.read_bytes() == damage
    assert second.jobs() == []
    second.close()


def test_damaged_pages_are_found_at_the_start(tmp_path: Path) -> None:
    """`quick_check`."""
    first = Spool(tmp_path, "engine")
    with first.transaction():
        for serial in range(1, 200):
            first.append(serial, JOB, batch(serial, bytes(2_000)))
    first.close()
    content = bytearray(first.path.read_bytes())
    content[4096 * 3 : 4096 * 60] = bytes(4096 * 57)
    first.path.write_bytes(content)
    second = Spool(tmp_path, "engine")
    assert second.set_aside is not None
    second.close()


def test_full_disk_is_a_retryable_error(spool: Spool) -> None:
    """Nothing was written, nothing is lost."""
    spool._db.execute(f"PRAGMA max_page_count = {spool._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(SpoolStuckError), spool.transaction():
        spool.append(1, JOB, batch(1, bytes(500_000)))
    assert list(spool.queue()) == []
    spool._db.execute("PRAGMA max_page_count = 100000")
    with spool.transaction():
        spool.append(1, JOB, batch(1, bytes(500_000)))
    assert len(list(spool.queue())) == 1


def test_ballast_is_released_once_and_restored(spool: Spool) -> None:
    """Even deleting needs room in the write-ahead log."""
    assert spool.delete_ballast()
    assert not spool.delete_ballast()
    spool.restore_ballast()
    assert spool.delete_ballast()


def test_unwritable_folder_is_reported(tmp_path: Path) -> None:
    """In a readable sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be written"):
        Spool(tmp_path / "file" / "spool", "engine")
