"""core/container/oom.py: an end is told as out of memory exactly when the engine said so in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.container.oom import WAIT_S, OomDetector

RUNS = RunState(running=True, started=1_000)
KILLED = RunState(started=1_000, ended=2_000, exit_code=137)


def test_a_word_that_came_first_is_believed_at_once() -> None:
    """As engines tell it nearly always."""
    detector = OomDetector()
    detector.record_oom("a")
    assert detector.judge("a", KILLED, 0.0, news=True) == replace(KILLED, oom=True)
    assert detector.judge("a", KILLED, 9.0, news=False) == replace(KILLED, oom=True), (
        "nor forgotten when it is asked again"
    )
    assert detector.judge("b", replace(KILLED, exit_code=0), 0.0, news=True) == replace(KILLED, exit_code=0)


def test_a_word_that_comes_late_is_waited_for() -> None:
    """After the end, within `WAIT_S`."""
    detector = OomDetector()
    assert detector.judge("a", KILLED, 0.0, news=True) is None
    assert detector.judge("a", KILLED, WAIT_S * 0.9, news=True) is None
    detector.record_oom("a")
    assert detector.settle("a") == replace(KILLED, oom=True)
    assert detector.settle("a") is None, "it is told once"
    assert detector.judge("a", KILLED, WAIT_S * 0.9, news=False) == replace(KILLED, oom=True)


def test_without_a_word_it_is_believed_after_the_wait() -> None:
    """Someone on the host killed it, or the engine lost the word."""
    detector = OomDetector()
    assert detector.judge("a", KILLED, 5.0, news=True) is None
    assert detector.judge("a", KILLED, 5.0 + WAIT_S, news=True) == KILLED
    assert detector.settle("a") is None
    assert detector.judge("a", KILLED, 6.0, news=True) == KILLED, (
        "and not waited with again, wherever that clock stands"
    )


@pytest.mark.parametrize("code", [0, 1, 139, 143, None])
def test_other_ends_are_not_waited_with(code: int | None) -> None:
    """The kernel uses SIGKILL."""
    run_state = replace(KILLED, exit_code=code)
    assert OomDetector().judge("a", run_state, 0.0, news=True) == run_state


def test_what_someone_killed_and_what_ended_long_ago_is_not_waited_with() -> None:
    """Nothing more is to come of these."""
    detector = OomDetector()
    detector.record_kill("a")
    assert detector.judge("a", KILLED, 0.0, news=True) == KILLED
    assert detector.judge("b", KILLED, 0.0, news=False) == KILLED
    assert detector.judge("c", RUNS, 0.0, news=True) == RUNS


def test_a_new_run_is_judged_by_itself() -> None:
    """Neither what was said of the run before nor who killed it counts, nor that it was waited with."""
    detector = OomDetector()
    detector.record_oom("a")
    detector.record_kill("a")
    detector.forget("a")
    assert detector.judge("a", KILLED, 0.0, news=True) is None
    detector.forget("a")
    assert detector.judge("a", KILLED, 100.0, news=True) is None
