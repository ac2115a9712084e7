"""Tests of `pipeline/shelf.py`: a batch is on the disk with the sequence that it has, whenever it was given it."""

from __future__ import annotations

from pathlib import Path

import pytest

from logferry_agent.core.batching.batcher import Batcher
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.gap import build_gap_batch, measure_missing
from logferry_agent.core.session.job_record import QueuedBatch
from logferry_agent.edge.spool import Spool, StoredJob
from logferry_agent.pipeline.job_buffers import Lane
from logferry_agent.pipeline.journal import Journal
from logferry_agent.pipeline.shelf import Shelf
from logferry_protocol.job import Container, LifeCycle

LANE = Lane("a" * 64, Container(name="web"), LifeCycle(state="running"), None)


class Queue:
    """Takes what the session would."""

    def __init__(self) -> None:
        self.refs: list[QueuedBatch] = []

    def enqueue(self, _job: str, ref: QueuedBatch, _now: float) -> None:
        self.refs.append(ref)


@pytest.mark.parametrize(
    "steps",
    [
        ("put", "assign"),
        ("put", "commit", "assign"),
        ("put", "assign", "gap"),
        ("put", "gap", "assign"),
        ("put", "commit", "assign", "gap"),
        ("put", "commit", "gap", "assign"),
        ("put", "assign", "commit", "gap"),
        ("put", "gap", "commit", "assign"),
        ("put", "commit", "assign", "commit", "gap", "commit"),
    ],
    ids=" ".join,
)
def test_the_sequence_of_a_batch_is_written_with_it(tmp_path: Path, steps: tuple[str, ...]) -> None:
    """Given before it was written or after, and also where a gap took its place meanwhile: seen by the next agent."""
    spool, session = Spool(tmp_path, "engine"), Queue()
    journal = Journal(spool)
    shelf = Shelf(spool, journal, session)  # type: ignore[arg-type]
    job = StoredJob(LANE.id, LANE.container.model_dump_json(), LANE.life.model_dump_json())
    journal.grow(lambda: spool.put_job(job))
    batcher = Batcher()
    batcher.add(Chunk([5] * 3, "ooo", ["one", "two", "three"], 11, str))
    batch = batcher.close()
    assert batch is not None
    for step in (*steps, "commit"):
        if step == "put":
            shelf.put(LANE, batch, 0.0)
        elif step == "assign":
            session.refs[0].first = 41
            shelf.assign(session.refs[0])
        elif step == "gap":
            missing = measure_missing(batch)
            shelf.become_gap(LANE, session.refs[0], build_gap_batch("spool_full", missing, batch.cursor), missing)
        else:
            journal.commit(0.0)
    assert journal.empty
    spool.close()
    again = Spool(tmp_path, "engine")
    (stored,) = again.queue()
    again.close()
    became_gap = "gap" in steps
    assert (stored.first, stored.gap, stored.batch.count) == (41, became_gap, 1 if became_gap else 3)
