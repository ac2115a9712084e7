"""Tests of `core/envelope.py`."""

from __future__ import annotations

from collections import deque

from logferry_agent.core.envelope import FRAME_ROOM, batches_to_send, jobs_to_open
from logferry_agent.core.job import JobState, Ref
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.limits import MAX_ENVELOPE_BATCHES, MAX_FRAME_BYTES, MAX_OPEN_JOBS
from logferry_protocol.messages import Open, encode


def job(number: int, size: int = 1_000, **fields: float) -> JobState:
    ref = Ref(number, 1, 10, 0, 1, 2, "0" * 64, size)
    life = LifeCycle(state="running")
    return JobState(f"{number:064x}", Container(name="c"), life, queue=deque([ref]), **fields)  # type: ignore[arg-type]


def test_an_envelope_takes_what_fits_a_frame() -> None:
    """A large batch is passed over by smaller ones behind it; the first always goes."""
    jobs = [job(1, FRAME_ROOM - 3_000), job(2, 5_000), job(3, 2_000), job(4, 900), job(5, 200)]
    assert [state.id for state, _ in batches_to_send(jobs, 0.0)] == [jobs[0].id, jobs[2].id, jobs[3].id]
    assert [state.id for state, _ in batches_to_send([job(1, FRAME_ROOM * 2), job(2)], 0.0)] == [job(1).id]


def test_an_envelope_has_no_more_batches_than_the_wire_allows() -> None:
    """However small they are."""
    assert len(batches_to_send([job(n, 10) for n in range(100)], 0.0)) == MAX_ENVELOPE_BATCHES


def test_who_waits_is_left_out() -> None:
    """Until its moment has come."""
    waiting = job(1, not_before=5.0)
    assert batches_to_send([waiting], 4.9) == []
    assert jobs_to_open([waiting], 4.9) == []
    assert [state for state, _ in batches_to_send([waiting], 5.0)] == [waiting]
    assert [entry.job for entry in jobs_to_open([waiting], 5.0)] == [waiting.id]


def test_an_open_takes_what_fits_a_frame() -> None:
    """Long labels make it fewer than the wire allows."""
    plain, labelled = [job(n) for n in range(40)], [job(n) for n in range(40)]
    for state in labelled:
        state.container = Container(name="c", labels={f"label{n}": "x" * 250 for n in range(15)})
    assert len(jobs_to_open(plain, 0.0)) == MAX_OPEN_JOBS
    chosen = jobs_to_open(labelled, 0.0)
    assert 1 < len(chosen) < MAX_OPEN_JOBS
    assert len(encode(Open(id="x" * 64, instance="y", jobs=chosen)).encode()) <= MAX_FRAME_BYTES
