"""Test `core/container/lost_job.py`: the last entries of a job whose container was removed while no agent watched."""

from __future__ import annotations

from logferry_agent.core.batching.cursor import LEFT_OUT, Cursor, LifecycleCheckpoint, decode, encode
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.container.lost_job import last_chunks
from logferry_protocol.events import Exited, Gap, SystemEvent, decode_event

S = 1_000_000_000
NOW = 1_764_000_100 * S
STARTED = LifecycleCheckpoint("s", NOW - 60 * S)


def events(chunks: list[Chunk]) -> list[SystemEvent]:
    return [event for chunk in chunks for text in chunk.texts if (event := decode_event(text)) is not None]


def test_job_of_a_running_container_gets_a_gap_and_an_end() -> None:
    chunks = last_chunks(encode(Cursor(life=STARTED)), NOW)
    gap, ended = events(chunks)
    assert isinstance(gap, Gap)
    assert gap.reason == "removed"
    assert isinstance(ended, Exited)
    assert (ended.exit_code, ended.removed) == (None, True)
    assert decode(chunks[-1].end).life.kind == "x"


def test_job_that_never_started_gets_a_gap() -> None:
    for cursor in (None, "", encode(Cursor())):
        (gap,) = events(last_chunks(cursor, NOW))
        assert isinstance(gap, Gap)


def test_job_whose_end_is_recorded_gets_nothing() -> None:
    assert last_chunks(encode(Cursor(life=LifecycleCheckpoint("x", NOW - 60 * S, NOW - S))), NOW) == []


def test_job_that_was_left_out_gets_nothing() -> None:
    assert last_chunks(encode(Cursor(life=STARTED, notices=LEFT_OUT)), NOW) == []


def test_damaged_cursor_still_shows_the_run() -> None:
    written = "2" + encode(Cursor(life=STARTED))[1:]
    assert [type(event) for event in events(last_chunks(written, NOW))] == [Gap, Exited]
