"""Test `core/session/envelope.py`."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.session.envelope import (
    FRAME_ROOM,
    batches_to_send,
    jobs_to_open,
    statuses_to_send,
)
from logferry_agent.core.session.job_record import JobRecord, QueuedBatch
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.limits import (
    MAX_COUNT,
    MAX_ENVELOPE_BATCHES,
    MAX_FRAME_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_OPEN_JOBS,
    MAX_RESTARTS,
    MAX_SEQUENCE,
    MAX_STATUS_JOBS,
    MAX_TIME_MS,
    MAX_TIME_US,
    MIN_EXIT_CODE,
)
from logferry_protocol.messages import Open, Status, encode


def job(number: int, size: int = 1_000, **fields: float) -> JobRecord:
    ref = QueuedBatch(number, 1, 10, 0, 1, 2, "0" * 64, size)
    life = LifeCycle(state="running")
    return JobRecord(f"{number:064x}", Container(name="c"), life, queue=deque([ref]), **fields)  # type: ignore[arg-type]


def test_envelope_holds_what_fits_a_frame() -> None:
    """Smaller batches overtake a large one; the first always goes."""
    jobs = [job(1, FRAME_ROOM - 3_000), job(2, 5_000), job(3, 2_000), job(4, 900), job(5, 200)]
    assert [state.id for state, _ in batches_to_send(jobs, 0.0)] == [jobs[0].id, jobs[2].id, jobs[3].id]
    assert [state.id for state, _ in batches_to_send([job(1, FRAME_ROOM * 2), job(2)], 0.0)] == [job(1).id]


def test_envelope_has_no_more_batches_than_the_wire_allows() -> None:
    """However small they are."""
    assert len(batches_to_send([job(n, 10) for n in range(100)], 0.0)) == MAX_ENVELOPE_BATCHES


def test_delayed_job_is_omitted() -> None:
    """Until its time has come."""
    waiting = job(1, not_before=5.0)
    assert batches_to_send([waiting], 4.9) == []
    assert jobs_to_open([waiting], 4.9) == []
    assert [state for state, _ in batches_to_send([waiting], 5.0)] == [waiting]
    assert [entry.job for entry in jobs_to_open([waiting], 5.0)] == [waiting.id]


def test_open_holds_what_fits_a_frame() -> None:
    """Long labels make it fewer than the wire allows."""
    plain, labelled = [job(n) for n in range(40)], [job(n) for n in range(40)]
    for state in labelled:
        state.container = Container(name="c", labels={f"label{n}": "x" * 250 for n in range(15)})
    assert len(jobs_to_open(plain, 0.0)) == MAX_OPEN_JOBS
    chosen = jobs_to_open(labelled, 0.0)
    assert 1 < len(chosen) < MAX_OPEN_JOBS
    assert len(encode(Open(id="x" * 64, instance="y", jobs=chosen)).encode()) <= MAX_FRAME_BYTES


def said(states: list[JobRecord]) -> list[int]:
    """Count the jobs of each status. Every job is in one, in order, and every status fits its frame."""
    messages = list(statuses_to_send(states))
    assert [entry.job for jobs in messages for entry in jobs] == [state.id for state in states]
    for jobs in messages:
        assert len(encode(Status(id="x" * 64, instance="y" * 128, jobs=jobs)).encode()) <= MAX_FRAME_BYTES
    return [len(jobs) for jobs in messages]


def problem_jobs(problems: list[str]) -> list[JobRecord]:
    largest = {"tip": MAX_SEQUENCE, "bytes": MAX_COUNT, "gaps": MAX_COUNT, "last": MAX_TIME_US}
    times = {"created": MAX_TIME_MS, "started": MAX_TIME_MS, "ended": MAX_TIME_MS}
    life = LifeCycle(
        state="restarting", exit_code=MIN_EXIT_CODE, oom=True, restarts=MAX_RESTARTS, source="none", **times
    )
    return [
        replace(job(number, **largest), life=life.model_copy(update={"problem": problem}))
        for number, problem in enumerate(problems)
    ]


@pytest.mark.parametrize(
    ("problem", "fits"),
    [("", MAX_STATUS_JOBS), ("x", 32), ("\\", 20), ("é", 20), ("日", 16), ("🚢", 13), ("\x01", 9)],
    ids=["none", "ascii", "escaped", "latin", "japanese", "emoji", "control"],
)
def test_status_has_as_many_jobs_as_fit_its_frame(problem: str, fits: int) -> None:
    """A problem's 512 characters take up to six bytes each."""
    first, *_ = said(problem_jobs([problem * MAX_MESSAGE_CHARS] * 100))
    assert fits <= first <= MAX_STATUS_JOBS


@given(st.lists(st.tuples(st.sampled_from('x"é日🚢\x01'), st.integers(0, MAX_MESSAGE_CHARS)), max_size=100))
def test_every_job_is_in_one_status_that_fits(found: list[tuple[str, int]]) -> None:
    """However long and odd their problems are."""
    problems = [character * count for character, count in found]
    assert (sum(said(problem_jobs(problems))), said([])) == (len(problems), [])


def test_open_of_the_longest_instance_fits_its_frame() -> None:
    """An engine's name may have 128 characters; jobs fill the frame to its last bytes."""
    for length in range(0, 250, 5):
        states = [job(number) for number in range(MAX_OPEN_JOBS)]
        for state in states:
            state.container = Container(
                name="c", labels={f"label{n}": "x" * 250 for n in range(8)} | {"l": "x" * length}
            )
        chosen = jobs_to_open(states, 0.0)
        assert len(encode(Open(id="x" * 64, instance="y" * 128, jobs=chosen)).encode()) <= MAX_FRAME_BYTES
