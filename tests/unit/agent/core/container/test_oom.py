"""Test `core/container/oom.py`: an exit is out of memory exactly when the engine said so in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.container.oom import WAIT_S, OomDetector

RUNS = RunState(running=True, started=1_000)
KILLED = RunState(started=1_000, ended=2_000, exit_code=137)


def test_early_oom_event_applies_at_once() -> None:
    """As engines nearly always report it."""
    detector = OomDetector()
    detector.record_oom("a")
    assert detector.check_end("a", KILLED, 0.0, news=True) == replace(KILLED, oom=True)
    assert detector.check_end("a", KILLED, 9.0, news=False) == replace(KILLED, oom=True), (
        "nor forgotten when it is asked again"
    )
    assert detector.check_end("b", replace(KILLED, exit_code=0), 0.0, news=True) == replace(KILLED, exit_code=0)


def test_late_oom_event_is_awaited() -> None:
    """After the exit, within `WAIT_S`."""
    detector = OomDetector()
    assert detector.check_end("a", KILLED, 0.0, news=True) is None
    assert detector.check_end("a", KILLED, WAIT_S * 0.9, news=True) is None
    detector.record_oom("a")
    assert detector.end_delay("a") == replace(KILLED, oom=True)
    assert detector.end_delay("a") is None, "it is told once"
    assert detector.check_end("a", KILLED, WAIT_S * 0.9, news=False) == replace(KILLED, oom=True)


def test_without_an_event_the_exit_is_reported_after_the_wait() -> None:
    """Somebody on the host killed it, or the engine lost the event."""
    detector = OomDetector()
    assert detector.check_end("a", KILLED, 5.0, news=True) is None
    assert detector.check_end("a", KILLED, 5.0 + WAIT_S, news=True) == KILLED
    assert detector.end_delay("a") is None
    assert detector.check_end("a", KILLED, 6.0, news=True) == KILLED, (
        "and not waited with again, wherever that clock stands"
    )


@pytest.mark.parametrize("code", [0, 1, 139, 143, None])
def test_other_exits_are_not_delayed(code: int | None) -> None:
    """The kernel uses SIGKILL."""
    run_state = replace(KILLED, exit_code=code)
    assert OomDetector().check_end("a", run_state, 0.0, news=True) == run_state


def test_manual_kills_and_old_exits_are_not_delayed() -> None:
    """No event will follow for these."""
    detector = OomDetector()
    detector.record_kill("a")
    assert detector.check_end("a", KILLED, 0.0, news=True) == KILLED
    assert detector.check_end("b", KILLED, 0.0, news=False) == KILLED
    assert detector.check_end("c", RUNS, 0.0, news=True) == RUNS


def test_new_run_is_judged_independently() -> None:
    """The previous run's events, kills and waits do not count."""
    detector = OomDetector()
    detector.record_oom("a")
    detector.record_kill("a")
    detector.forget("a")
    assert detector.check_end("a", KILLED, 0.0, news=True) is None
    detector.forget("a")
    assert detector.check_end("a", KILLED, 100.0, news=True) is None
