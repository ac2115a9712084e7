"""Test `core/batching/entry_sequencer.py`: lines, lifecycle events and gaps are ordered, each with its cursor."""

from __future__ import annotations

from logferry_agent.core.batching.cursor import Cursor, LifecycleCheckpoint, decode
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.parsing.fragments import Fragments
from logferry_agent.core.parsing.timestamps import format_stamp
from logferry_protocol.events import decode_event

S = 10**9


def fragments(*seconds: float) -> Fragments:
    stamps = [format_stamp(int(second * S)) for second in seconds]
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


def test_first_start_precedes_everything() -> None:
    """A process writes before the engine has noted its start time."""
    sequencer = EntrySequencer(Cursor())
    sequencer.learn(RunState(running=True, started=100 * S), fresh=True)
    assert shown(sequencer.add_fragments(fragments(99.99, 101), nowhere)) == ["started", "at 99.99", "at 101"]


def test_exit_follows_the_last_line() -> None:
    """Once the log is read to its end."""
    sequencer = EntrySequencer(Cursor())
    sequencer.learn(RunState(running=True, started=100 * S), fresh=True)
    sequencer.learn(RunState(started=100 * S, ended=102 * S))
    assert shown(sequencer.add_fragments(fragments(101, 102.5), nowhere) + sequencer.take_due()) == [
        "started",
        "at 101",
        "at 102.5",
        "exited",
    ]


def test_unseen_runs_are_reported_between_their_lines() -> None:
    """From inspect only, in a backlog."""
    sequencer = EntrySequencer(Cursor(life=LifecycleCheckpoint("s", 100 * S, 0, 0)))
    sequencer.learn(RunState(running=True, started=200 * S, ended=150 * S))
    chunks = sequencer.add_fragments(fragments(140, 151, 199.2, 210), nowhere)
    assert shown(chunks) == ["at 140", "at 151", "exited", "restarted", "at 199.2", "at 210"]
    lives = [decode(chunk.cursor_at(len(chunk.texts))).life.kind for chunk in chunks]
    assert lives == ["s", "x", "s", "s"]


def test_lines_after_a_reported_exit_wait_for_the_start() -> None:
    """They belong to a run that is not known yet."""
    sequencer = EntrySequencer(Cursor())
    assert sequencer.between_runs
    sequencer.learn(RunState(running=True, started=100 * S))
    assert not sequencer.between_runs
    sequencer.take_due()
    assert not sequencer.between_runs
    sequencer.learn(RunState(started=100 * S, ended=101 * S))
    assert not sequencer.between_runs
    sequencer.take_due()
    assert sequencer.between_runs
