"""Test `core/batching/lifecycle.py`: each start and exit is reported once, whatever its source."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.batching.cursor import LifecycleCheckpoint
from logferry_agent.core.batching.lifecycle import RunState, unrecorded_entries

S = 10**9
NEVER = LifecycleCheckpoint()


def told(mark: LifecycleCheckpoint, *run_state: RunState) -> list[str]:
    found: list[str] = []
    for fact in run_state:
        for entry in unrecorded_entries(mark, fact):
            found.append(entry.event.event)
            mark = entry.checkpoint
    return found


def test_first_run_starts_and_exits() -> None:
    """From events, and inspect repeats the same."""
    run = RunState(running=True, started=100 * S)
    assert told(NEVER, run, run, RunState(started=100 * S, ended=105 * S, exit_code=1)) == ["started", "exited"]


def test_event_time_and_inspected_time_are_one_run() -> None:
    """The event comes slightly after the start that inspect reports."""
    assert told(NEVER, RunState(running=True, started=100 * S + 7), RunState(running=True, started=100 * S)) == [
        "started"
    ]


def test_unobserved_events_are_derived() -> None:
    """A run ended and another began: inspect has the end's time but not its code."""
    mark = LifecycleCheckpoint("s", 100 * S, 0, 0)
    found = unrecorded_entries(mark, RunState(running=True, started=200 * S, ended=150 * S, restarts=1))
    assert [(m.event.event, m.time) for m in found] == [("exited", 150 * S), ("restarted", 200 * S)]
    assert found[1].boundary == 190 * S


def test_clock_may_be_set_back() -> None:
    """A run that began more than five seconds before the recorded one is a new one."""
    mark = LifecycleCheckpoint("x", 100 * S, 105 * S, 0)
    assert told(mark, RunState(running=True, started=50 * S, ended=105 * S)) == ["restarted"]


def test_removed_container_is_exited() -> None:
    """Even if its end was never reported."""
    (entry,) = unrecorded_entries(LifecycleCheckpoint("s", 100 * S, 0, 0), RunState(started=100 * S, gone=True))
    assert entry.event.model_dump() == {"event": "exited", "exit_code": None, "oom": False, "removed": True}


def test_container_that_never_ran_reports_nothing() -> None:
    """Created and removed."""
    assert told(NEVER, RunState(), RunState(gone=True)) == []


run_state = st.builds(
    RunState,
    running=st.booleans(),
    started=st.sampled_from([0, 10 * S, 20 * S, 30 * S]),
    ended=st.sampled_from([0, 15 * S, 25 * S, 35 * S]),
    gone=st.booleans(),
)


@given(st.lists(run_state, max_size=12))
def test_starts_and_exits_alternate_for_any_input(told_facts: list[RunState]) -> None:
    """Repeated facts report nothing new."""
    mark, found = NEVER, []
    for fact in told_facts:
        for entry in unrecorded_entries(mark, fact):
            found.append("x" if entry.event.event == "exited" else "s")
            mark = entry.checkpoint
        assert unrecorded_entries(mark, fact) == []
    assert "".join(found).replace("sx", "") in {"", "s"}
