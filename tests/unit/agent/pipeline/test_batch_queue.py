"""Test `pipeline/batch_queue.py`: a batch is on the disk with its sequence, whenever that was assigned."""

from __future__ import annotations

from pathlib import Path

import pytest

from logferry_agent.core.batching.batcher import Batcher
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.gap import build_gap_batch, measure_missing
from logferry_agent.core.session.effects import SendBatches
from logferry_agent.core.session.job_record import QueuedBatch
from logferry_agent.edge.dead_letters import DeadLetters
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool, StoredJob
from logferry_agent.pipeline.batch_queue import BatchQueue
from logferry_protocol.job import Container, LifeCycle

JOB = StoredJob("a" * 64, Container(name="web").model_dump_json(), LifeCycle(state="running").model_dump_json())


class Queue:
    """Accept what the session would."""

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
def test_sequence_of_a_batch_is_written_with_it(tmp_path: Path, steps: tuple[str, ...]) -> None:
    """Assigned before or after it was written, and also if a gap replaced it meanwhile: the next agent sees it."""
    spool, session = Spool(tmp_path, "engine"), Queue()
    queue = BatchQueue(spool, session, DeadLetters(tmp_path / "rejected"), Metrics())  # type: ignore[arg-type]
    queue.put_job(JOB)
    batcher = Batcher()
    batcher.add(Chunk([5] * 3, "ooo", ["one", "two", "three"], 11, str))
    batch = batcher.close()
    assert batch is not None
    for step in (*steps, "commit"):
        if step == "put":
            queue.append(JOB.id, batch, 0.0)
        elif step == "assign":
            session.refs[0].first = 41
            queue.send(SendBatches(1, "request", ((JOB.id, session.refs[0]),)))
        elif step == "gap":
            missing = measure_missing(batch)
            queue.replace_with_gap(
                JOB.id, session.refs[0], build_gap_batch("spool_full", missing, batch.cursor), missing
            )
        else:
            queue.commit(0.0)
    assert queue.empty
    spool.close()
    again = Spool(tmp_path, "engine")
    (stored,) = again.queue()
    again.close()
    became_gap = "gap" in steps
    assert (stored.first, stored.gap, stored.batch.count) == (41, became_gap, 1 if became_gap else 3)
