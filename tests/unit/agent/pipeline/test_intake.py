"""Test `pipeline/intake.py`."""

from __future__ import annotations

from logferry_agent.core.batching.entries import Batch, Chunk, PreencodedBatch
from logferry_agent.core.batching.ports import Job, Offer
from logferry_agent.pipeline.intake import ChunkOffered, Intake, JobAppeared
from logferry_protocol.job import Container, LifeCycle

JOB = Job("a" * 64, Container(name="web"), LifeCycle(state="running"))


def chunk(begin: int, end: int, size: int = 10) -> Chunk:
    texts = [str(index) for index in range(begin, end)]
    return Chunk([0] * len(texts), "o" * len(texts), texts, size, lambda count: str(begin + count))


def intake(limit: int = 100) -> Intake:
    return Intake(limit, lambda: None)


def test_new_job_starts_at_its_beginning_and_known_one_at_its_position() -> None:
    """The position is the end of the last offer, computed on request."""
    box = intake()
    assert box.job_appeared(JOB).cursor is None
    assert box.offer(JOB.id, 1, chunk(0, 3)) is Offer.TAKEN
    assert (box.job_appeared(JOB).epoch, box.job_appeared(JOB).cursor) == (1, "3")


def test_offers_are_bounded_until_taken() -> None:
    """A reader never has to forget what it offered."""
    box = intake(limit=25)
    box.job_appeared(JOB)
    answers = [box.offer(JOB.id, 1, chunk(index, index + 1)) for index in range(3)]
    assert answers == [Offer.TAKEN, Offer.TAKEN, Offer.FULL]
    assert [type(arrival) for arrival in box.take(100)] == [JobAppeared, ChunkOffered, ChunkOffered]
    assert box.wait_for_room(0)
    assert box.offer(JOB.id, 1, chunk(2, 3)) is Offer.TAKEN


def test_refused_reader_waits_until_half_is_free() -> None:
    """Otherwise it would offer and be refused repeatedly."""
    box = intake(limit=40)
    box.job_appeared(JOB)
    answers = [box.offer(JOB.id, 1, chunk(index, index + 1)) for index in range(5)]
    assert answers.count(Offer.TAKEN) == 4
    box.take(1)
    assert not box.wait_for_room(0)
    box.take(1)
    assert box.wait_for_room(0)


def test_chunk_larger_than_the_limit_is_accepted_when_nothing_else_waits() -> None:
    """Otherwise it could never continue."""
    box = intake(limit=5)
    box.job_appeared(JOB)
    assert box.offer(JOB.id, 1, chunk(0, 1, size=1_000)) is Offer.TAKEN


def test_closed_intake_accepts_nothing() -> None:
    """The spool is full."""
    box = intake()
    box.job_appeared(JOB)
    box.set_closed(True)
    assert box.offer(JOB.id, 1, chunk(0, 1)) is Offer.FULL
    assert not box.wait_for_room(0)
    box.set_closed(False)
    assert box.wait_for_room(0)


def test_new_epoch_voids_offers_of_the_last_one() -> None:
    """Chunks already taken, and those still arriving."""
    box = intake()
    box.job_appeared(JOB)
    box.offer(JOB.id, 1, chunk(0, 3))
    position = box.reposition(JOB.id, "7")
    assert (position.epoch, position.cursor) == (2, "7")
    assert box.offer(JOB.id, 1, chunk(3, 4)) is Offer.STALE
    assert [box.current(arrival) for arrival in box.take(100) if isinstance(arrival, ChunkOffered)] == [False]
    assert box.job_appeared(JOB).cursor == "7"


def test_skipping_cursor_drops_the_first_entries_over_several_chunks() -> None:
    """From inside a restored part."""
    box = intake()
    box.restore([(JOB, "5~4", None)])
    assert box.job_appeared(JOB).cursor == "5"
    box.offer(JOB.id, 1, chunk(5, 8))
    box.offer(JOB.id, 1, chunk(8, 11))
    begins = [arrival.begin for arrival in box.take(100) if isinstance(arrival, ChunkOffered)]
    assert begins == [3, 1]


def test_entries_are_skipped_in_an_encoded_batch_as_in_a_chunk() -> None:
    """It counts as many, and its end is the position."""
    box = intake(limit=1_000)
    box.restore([(JOB, "5~4", None)])
    batch = Batch(3, 0, 0, 3, 0, "8", "digest", b"body")
    box.offer(JOB.id, 1, PreencodedBatch(batch, lambda: "5"))
    box.offer(JOB.id, 1, PreencodedBatch(batch, lambda: "8"))
    assert [arrival.begin for arrival in box.take(100) if isinstance(arrival, ChunkOffered)] == [3, 1]
    assert box.job_appeared(JOB).cursor == "8"


def test_reader_starting_elsewhere_skips_nothing() -> None:
    """It could not read the position; only in the epoch that it names."""
    box = intake()
    box.restore([(JOB, "5~4", 77)])
    position = box.job_appeared(JOB)
    assert (position.skip, position.last) == (4, 77)
    box.position_lost(JOB.id, 2)
    box.offer(JOB.id, 1, chunk(5, 6))
    box.position_lost(JOB.id, 1)
    box.offer(JOB.id, 1, chunk(8, 10))
    assert [arrival.begin for arrival in box.take(100) if isinstance(arrival, ChunkOffered)] == [1, 0]


def test_position_from_the_cloud_has_no_known_time() -> None:
    """Another agent may have written there; entries to skip behind it are reported."""
    box = intake()
    box.restore([(JOB, "5", 77)])
    position = box.reposition(JOB.id, "9~2")
    assert (position.cursor, position.skip, position.last) == ("9", 2, None)
    assert box.job_appeared(JOB).last is None


def test_unknown_job_is_stale_and_ended_one_is_forgotten() -> None:
    """Nothing is accepted for a job that was never announced."""
    box = intake()
    assert box.offer(JOB.id, 1, chunk(0, 1)) is Offer.STALE
    box.job_appeared(JOB)
    assert box.known_jobs() == [JOB]
    box.job_ended(JOB.id)
    assert box.known_jobs() == []
    box.forget(JOB.id)
    assert box.offer(JOB.id, 1, chunk(0, 1)) is Offer.STALE
