"""core/batching/entry_sequencer.py: lines, milestones and gaps take their places, each with its cursor."""

from __future__ import annotations

from logferry_agent.core.batching.cursor import Cursor, LifeMark, decode
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.entry_sequencer import Track
from logferry_agent.core.batching.lifecycle import Facts
from logferry_agent.core.parsing.fragments import Fragments
from logferry_agent.core.parsing.timestamps import text_of
from logferry_protocol.events import decode_event

S = 10**9


def fragments(*seconds: float) -> Fragments:
    stamps = [text_of(int(second * S)) for second in seconds]
    return Fragments(
        stamps, [int(second * 10**6) for second in seconds], "o" * len(stamps), [f"at {s}" for s in seconds]
    )


def shown(chunks: list[Chunk]) -> list[str]:
    return [
        decode_event(text).event if letter == "s" else text
        for chunk in chunks
        for letter, text in zip(chunk.streams, chunk.texts, strict=True)
    ]


def nowhere(_: int) -> None:
    return None


def test_a_first_start_comes_before_everything() -> None:
    """A process writes before the engine has noted the time of its start."""
    track = Track(Cursor())
    track.learn(Facts(running=True, started=100 * S), fresh=True)
    assert shown(track.lines(fragments(99.99, 101), nowhere)) == ["started", "at 99.99", "at 101"]


def test_an_exit_comes_after_the_last_line() -> None:
    """When the log is read to its end."""
    track = Track(Cursor())
    track.learn(Facts(running=True, started=100 * S), fresh=True)
    track.learn(Facts(started=100 * S, ended=102 * S))
    assert shown(track.lines(fragments(101, 102.5), nowhere) + track.at_end()) == [
        "started",
        "at 101",
        "at 102.5",
        "exited",
    ]


def test_runs_that_nobody_saw_are_told_between_their_lines() -> None:
    """From inspect alone, in a backlog."""
    track = Track(Cursor(life=LifeMark("s", 100 * S, 0, 0)))
    track.learn(Facts(running=True, started=200 * S, ended=150 * S))
    chunks = track.lines(fragments(140, 151, 199.2, 210), nowhere)
    assert shown(chunks) == ["at 140", "at 151", "exited", "restarted", "at 199.2", "at 210"]
    lives = [decode(chunk.cursor_at(len(chunk.texts))).life.kind for chunk in chunks]
    assert lives == ["s", "x", "s", "s"]


def test_after_a_told_exit_lines_wait_for_the_start() -> None:
    """They belong to a run that is not known yet."""
    track = Track(Cursor())
    assert track.between_runs
    track.learn(Facts(running=True, started=100 * S))
    assert not track.between_runs
    track.at_end()
    assert not track.between_runs
    track.learn(Facts(started=100 * S, ended=101 * S))
    assert not track.between_runs
    track.at_end()
    assert track.between_runs
