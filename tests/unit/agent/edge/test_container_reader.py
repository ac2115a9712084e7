"""Test `edge/container_reader.py`: reported lifecycles do not depend on the order of the facts."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from tests.support.memory_sink import MemorySink

from logferry_agent.core.batching.cursor import LifecycleCheckpoint, decode
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.batching.ports import Offer, Position
from logferry_agent.core.container.metadata import ContainerMetadata, from_event
from logferry_agent.edge.container_reader import ContainerReader, Step
from logferry_protocol.events import Gap
from logferry_protocol.job import SourceName

S = 10**9
CONTAINER = "c" * 64


class QuietSource:
    """A log without lines."""

    name: SourceName = "file"
    unread = 0

    def __init__(self, sequencer: EntrySequencer) -> None:
        self.sequencer = sequencer
        self.gone = False
        self._chunks: list[Chunk] = []

    @property
    def ended(self) -> bool:
        return self.gone and not self.sequencer.due

    def set_running(self, running: bool) -> None: ...

    def read(self, limit_bytes: int) -> Chunk | None:
        return None

    def at_end(self) -> Chunk | None:
        self._chunks += self.sequencer.take_due()
        return self._chunks.pop(0) if self._chunks else None

    def close(self) -> None: ...


def described(run_state: RunState) -> ContainerMetadata:
    return replace(from_event(CONTAINER, {}, "h", 0), run_state=run_state)


def reading_of(*run_state: RunState) -> tuple[ContainerReader, MemorySink]:
    """Return a reader that received these facts before its thread started."""
    reading = ContainerReader(described(run_state[0]), lambda _, sequencer: QuietSource(sequencer), fresh=True)
    sink = MemorySink()
    reading.move(sink.job_appeared(reading.job))
    for fact in run_state[1:]:
        reading.learn(described(fact))
    return reading, sink


def steps(reading: ContainerReader, sink: MemorySink) -> list[str]:
    while reading.step(sink, 1) is Step.MORE:
        pass
    return sink.logs[CONTAINER].names()


def test_start_from_an_event_and_from_inspect_is_one_run() -> None:
    """All was known before the first step: created, the event's time, the inspected time, the end."""
    run = RunState(running=True, started=100 * S)
    reading, sink = reading_of(
        RunState(),
        replace(run, started=100 * S + 5_000_000),
        run,
        RunState(started=100 * S, ended=101 * S, exit_code=0),
    )
    assert steps(reading, sink) == ["started", "exited"]


def test_reader_at_a_new_position_reports_the_lifecycle_from_there() -> None:
    """The new position's cursor decides what was reported."""
    reading, sink = reading_of(RunState(running=True, started=100 * S))
    assert steps(reading, sink) == ["started"]
    sink.logs[CONTAINER].epoch = 2
    reading.move(Position(2, sink.logs[CONTAINER].cursor))
    assert steps(reading, sink) == ["started"]
    reading.move(Position(2, None))
    assert steps(reading, sink) == ["started", "started"]


T0 = 1_764_000_000 * S
UNKNOWN = f"2|o={T0 + 100 * S}.1.0123abcd.0|e={T0 + 103 * S}.7|l=s.{T0 + 90 * S}.0.0|new"


def moved_to(position: Position, run_state: RunState) -> tuple[ContainerReader, MemorySink]:
    """Return a reader of a job that was read before, and everything that it gives."""
    reading = ContainerReader(described(run_state), lambda _, sequencer: QuietSource(sequencer), fresh=False)
    sink = MemorySink()
    sink.job_appeared(reading.job)
    reading.move(position)
    while reading.step(sink, 1) is Step.MORE:
        pass
    return reading, sink


@pytest.mark.parametrize(
    ("cursor", "skip", "last", "after", "start"),
    [
        (UNKNOWN, 0, None, T0 + 103 * S, T0 // 1_000 + 103_000_000),
        (UNKNOWN, 0, T0 // 1_000 + 102_000_000, T0 + 103 * S, T0 // 1_000 + 103_000_000),
        (UNKNOWN, 0, T0 // 1_000 + 104_000_000, T0 + 104 * S + 999, T0 // 1_000 + 104_000_000),
        (UNKNOWN, 3, T0 // 1_000 + 102_000_000, T0 + 102 * S + 999, T0 // 1_000 + 102_000_000),
        ("rubbish", 0, T0 // 1_000 + 102_000_000, T0 + 102 * S + 999, T0 // 1_000 + 102_000_000),
        (f"1|o={T0 + 100 * S}.1", 0, None, T0 + 100 * S, T0 // 1_000 + 100_000_000),
    ],
)
def test_lines_before_an_unreadable_cursor_are_not_read_again(
    cursor: str, skip: int, last: int | None, after: int, start: int
) -> None:
    """Reading continues after the latest known time, from the cursor or the spool; a gap says so."""
    running = RunState(running=True, started=T0 + 90 * S)
    reading, sink = moved_to(Position(1, cursor, skip, last), running)
    log = sink.logs[CONTAINER]
    assert reading.source is not None
    assert reading.source.sequencer.after == after
    (gap,) = log.events()
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.start, gap.end) == ("corrupt", start, None)
    assert log.times == [start]
    assert log.misplaced == 1, "no entry of what is read now is one of those to leave out behind the cursor"
    assert decode(log.cursor or "").after == after, "and it is so after a restart, before there is a line"
    assert decode(log.cursor or "").life == LifecycleCheckpoint("s", T0 + 90 * S), "the start was told before"


def test_reading_continues_with_new_lines_if_nothing_is_known() -> None:
    """The job's spool was lost, and the agent cannot read the cloud's cursor."""
    before = time.time_ns()
    for cursor, skip in (("rubbish", 0), (UNKNOWN, 3)):
        reading, sink = moved_to(Position(1, cursor, skip), RunState(running=True, started=T0 + 90 * S))
        assert reading.source is not None
        assert before <= reading.source.sequencer.after <= time.time_ns()
        (gap,) = sink.logs[CONTAINER].events()
        assert isinstance(gap, Gap)
        assert gap.start is None
        assert before // 1_000 <= (gap.end or 0) <= time.time_ns() // 1_000


def test_only_new_events_are_reported_if_the_cursor_has_no_lifecycle() -> None:
    """Earlier ones may have been reported; the job's state shows them."""
    ended = RunState(started=T0 + 90 * S, ended=T0 + 95 * S, exit_code=0)
    reading, sink = moved_to(Position(1, "rubbish", 0, T0 // 1_000 + 99_000_000), ended)
    assert sink.logs[CONTAINER].names() == ["gap"]
    reading.learn(described(RunState(running=True, started=T0 + 200 * S, ended=T0 + 95 * S)))
    assert steps(reading, sink) == ["gap", "restarted"]
    _, told = moved_to(Position(1, UNKNOWN), ended)
    assert told.logs[CONTAINER].names() == ["gap", "exited"], "the cursor says that only the start was told"


def test_unaccepted_chunk_is_not_followed_by_more() -> None:
    """Docker case 24: while the pipeline is full, a reader holds one chunk and leaves the rest in the log."""
    reads: list[int] = []

    class Log(QuietSource):
        def read(self, limit_bytes: int) -> Chunk | None:
            reads.append(limit_bytes)
            return Chunk([1], "o", [f"line {len(reads)}"], 6, lambda _: "1")

    reading = ContainerReader(
        described(RunState(running=True, started=S)), lambda _, sequencer: Log(sequencer), fresh=True
    )
    sink = MemorySink()
    sink.answer = lambda _job, _chunk: Offer.FULL
    reading.move(sink.job_appeared(reading.job))
    for _ in range(100):
        assert reading.step(sink, 1_000) is Step.FULL
    assert reads == [1_000]
    sink.answer = lambda _job, _chunk: Offer.TAKEN
    reading.step(sink, 1_000)
    reading.step(sink, 1_000)
    assert sink.logs[CONTAINER].lines() == ["line 1", "line 2"]
