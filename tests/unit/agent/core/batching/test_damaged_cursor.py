"""Test `core/batching/damaged_cursor.py`: where reading continues when a cursor cannot be decoded."""

from __future__ import annotations

import pytest

from logferry_agent.core.batching.cursor import LifecycleCheckpoint
from logferry_agent.core.batching.damaged_cursor import resume_from_damaged_cursor
from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.batching.ports import Position

S = 10**9
NOW = 1_764_000_100 * S
READ = 1_764_000_000 * S
RUNS = RunState(running=True, started=READ)


@pytest.mark.parametrize(
    ("cursor", "skip", "last", "known"),
    [
        (f"2|o={READ}.1.9f86d081.0", 0, None, READ),
        (f"2|o={READ}.1.9f86d081.0", 0, READ // 1_000 + S // 1_000, READ + S + 999),
        (f"2|o={READ}.1.9f86d081.0", 3, READ // 1_000 - 5, READ - 5_000 + 999),
        ("no cursor", 0, READ // 1_000, READ + 999),
    ],
)
def test_reading_continues_after_the_latest_known_time(cursor: str, skip: int, last: int | None, known: int) -> None:
    """Skipped entries are later than the cursor, so the cursor's own time does not count with them."""
    sequencer, gap = resume_from_damaged_cursor(Position(1, cursor, skip, last), RUNS, NOW)
    assert sequencer.after == known
    assert (gap.reason, gap.start, gap.end) == ("corrupt", known // 1_000, None)


def test_reading_continues_with_new_lines_without_a_known_time() -> None:
    sequencer, gap = resume_from_damaged_cursor(Position(1, "no cursor"), RUNS, NOW)
    assert sequencer.after == NOW
    assert (gap.start, gap.end) == (None, NOW // 1_000)


def test_lifecycle_so_far_counts_as_recorded() -> None:
    """Unless the cursor still shows what was recorded."""
    sequencer, _ = resume_from_damaged_cursor(Position(1, "no cursor"), RUNS, NOW)
    assert sequencer.life == LifecycleCheckpoint("s", READ)
    assert not sequencer.learn(RUNS)
    sequencer, _ = resume_from_damaged_cursor(Position(1, f"2|l=s.{READ - 60 * S}.0.0"), RUNS, NOW)
    assert sequencer.life == LifecycleCheckpoint("s", READ - 60 * S)
    assert sequencer.learn(RUNS)
