"""edge/reading.py: what is told of a life is the same in whatever order its parts were learnt."""

from __future__ import annotations

from dataclasses import replace

from tests.support.sink import MemorySink

from logferry_agent.core.chunk import Chunk, Offer, Position
from logferry_agent.core.description import Description, from_event
from logferry_agent.core.lifecycle import Facts
from logferry_agent.core.track import Track
from logferry_agent.edge.reading import Reading, Step
from logferry_protocol.job import SourceName

S = 10**9
CONTAINER = "c" * 64


class QuietSource:
    """A log without lines."""

    name: SourceName = "file"
    unread = 0

    def __init__(self, track: Track) -> None:
        self.track = track
        self.gone = False
        self._chunks: list[Chunk] = []

    @property
    def ended(self) -> bool:
        return self.gone and not self.track.due

    def runs(self, running: bool) -> None: ...

    def read(self, limit_bytes: int) -> Chunk | None:
        return None

    def at_end(self) -> Chunk | None:
        self._chunks += self.track.at_end()
        return self._chunks.pop(0) if self._chunks else None

    def close(self) -> None: ...


def described(facts: Facts) -> Description:
    return replace(from_event(CONTAINER, {}, "h", 0), facts=facts)


def reading_of(*facts: Facts) -> tuple[Reading, MemorySink]:
    """A reading that learnt these facts before its thread came to it."""
    reading = Reading(described(facts[0]), lambda _, track: QuietSource(track), fresh=True)
    sink = MemorySink()
    reading.move(sink.job_appeared(reading.job))
    for fact in facts[1:]:
        reading.learn(described(fact))
    return reading, sink


def steps(reading: Reading, sink: MemorySink) -> list[str]:
    while reading.step(sink, 1) is Step.MORE:
        pass
    return sink.logs[CONTAINER].names()


def test_a_start_told_by_an_event_and_then_by_inspect_is_one_run() -> None:
    """All was learnt before the first step: created, the event's time, the inspected time, the end."""
    run = Facts(running=True, started=100 * S)
    reading, sink = reading_of(
        Facts(), replace(run, started=100 * S + 5_000_000), run, Facts(started=100 * S, ended=101 * S, exit_code=0)
    )
    assert steps(reading, sink) == ["started", "exited"]


def test_a_reading_moved_elsewhere_tells_its_life_again_from_there() -> None:
    """The new position's cursor decides what was told."""
    reading, sink = reading_of(Facts(running=True, started=100 * S))
    assert steps(reading, sink) == ["started"]
    sink.logs[CONTAINER].epoch = 2
    reading.move(Position(2, sink.logs[CONTAINER].cursor))
    assert steps(reading, sink) == ["started"]
    reading.move(Position(2, None))
    assert steps(reading, sink) == ["started", "started"]


def test_what_cannot_be_handed_over_is_not_followed_by_more() -> None:
    """Docker case 24: while the pipeline is full a reading holds one chunk and leaves the rest where it is."""
    reads: list[int] = []

    class Log(QuietSource):
        def read(self, limit_bytes: int) -> Chunk | None:
            reads.append(limit_bytes)
            return Chunk([1], "o", [f"line {len(reads)}"], 6, lambda _: "1")

    reading = Reading(described(Facts(running=True, started=S)), lambda _, track: Log(track), fresh=True)
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
