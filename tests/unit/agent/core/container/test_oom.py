"""core/container/oom.py: an end is told as out of memory exactly when the engine said so in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from logferry_agent.core.batching.lifecycle import Facts
from logferry_agent.core.container.oom import WAIT_S, OomWatch

RUNS = Facts(running=True, started=1_000)
KILLED = Facts(started=1_000, ended=2_000, exit_code=137)


def test_a_word_that_came_first_is_believed_at_once() -> None:
    """As engines tell it nearly always."""
    watch = OomWatch()
    watch.said("a")
    assert watch.judge("a", KILLED, 0.0, news=True) == replace(KILLED, oom=True)
    assert watch.judge("a", KILLED, 9.0, news=False) == replace(KILLED, oom=True), (
        "nor forgotten when it is asked again"
    )
    assert watch.judge("b", replace(KILLED, exit_code=0), 0.0, news=True) == replace(KILLED, exit_code=0)


def test_a_word_that_comes_late_is_waited_for() -> None:
    """After the end, within `WAIT_S`."""
    watch = OomWatch()
    assert watch.judge("a", KILLED, 0.0, news=True) is None
    assert watch.judge("a", KILLED, WAIT_S * 0.9, news=True) is None
    watch.said("a")
    assert watch.give_up("a") == replace(KILLED, oom=True)
    assert watch.give_up("a") is None, "it is told once"
    assert watch.judge("a", KILLED, WAIT_S * 0.9, news=False) == replace(KILLED, oom=True)


def test_without_a_word_it_is_believed_after_the_wait() -> None:
    """Someone on the host killed it, or the engine lost the word."""
    watch = OomWatch()
    assert watch.judge("a", KILLED, 5.0, news=True) is None
    assert watch.judge("a", KILLED, 5.0 + WAIT_S, news=True) == KILLED
    assert watch.give_up("a") is None
    assert watch.judge("a", KILLED, 6.0, news=True) == KILLED, "and not waited with again, wherever that clock stands"


@pytest.mark.parametrize("code", [0, 1, 139, 143, None])
def test_other_ends_are_not_waited_with(code: int | None) -> None:
    """The kernel uses SIGKILL."""
    facts = replace(KILLED, exit_code=code)
    assert OomWatch().judge("a", facts, 0.0, news=True) == facts


def test_what_someone_killed_and_what_ended_long_ago_is_not_waited_with() -> None:
    """Nothing more is to come of these."""
    watch = OomWatch()
    watch.killed("a")
    assert watch.judge("a", KILLED, 0.0, news=True) == KILLED
    assert watch.judge("b", KILLED, 0.0, news=False) == KILLED
    assert watch.judge("c", RUNS, 0.0, news=True) == RUNS


def test_a_new_run_is_judged_by_itself() -> None:
    """Neither what was said of the run before nor who killed it counts, nor that it was waited with."""
    watch = OomWatch()
    watch.said("a")
    watch.killed("a")
    watch.forget("a")
    assert watch.judge("a", KILLED, 0.0, news=True) is None
    watch.forget("a")
    assert watch.judge("a", KILLED, 100.0, news=True) is None
