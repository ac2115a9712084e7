"""Test `core/container/container_tracker.py`: what lists, answers and events of an engine mean for the reading."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.batching.processing import ProcessingOptions
from logferry_agent.core.container.container_tracker import ContainerTracker, Observation, own_name
from logferry_agent.core.container.filters import Selection
from logferry_agent.core.container.metadata import ContainerMetadata
from logferry_agent.core.container.oom import WAIT_S

ID = "a" * 64
S = 1_000_000_000
START = 1_764_000_000 * S


def tracker(processing: ProcessingOptions | None = None, **filters: Any) -> ContainerTracker:
    return ContainerTracker(Selection(**filters), host="host-1", processing=processing)


def answer(
    *, running: bool = True, started: int = START, ended: int = 0, exit_code: int = 0, **config: Any
) -> dict[str, Any]:
    """Return the engine's answer to `inspect`."""

    def written(time: int) -> str:
        seconds = time // S - START // S
        return (
            f"2025-11-24T16:{seconds // 60:02d}:{seconds % 60:02d}.{time % S:09d}Z" if time else "0001-01-01T00:00:00Z"
        )

    return {
        "Id": ID,
        "Name": config.pop("Name", "/web"),
        "Created": written(START),
        "Config": {"Image": "shop/web:3", "Labels": {}, **config},
        "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}},
        "State": {
            "Status": "running" if running else "exited",
            "Running": running,
            "StartedAt": written(started),
            "FinishedAt": written(ended),
            "ExitCode": exit_code,
        },
    }


def known(decider: ContainerTracker, **state: Any) -> ContainerMetadata:
    return decider.describe(answer(**state))


def listed(name: str = "/web", state: str = "running") -> dict[str, Any]:
    return {"Id": ID, "Names": [name], "State": state}


# --- which containers are read ---


def test_excluded_container_is_not_admitted_and_not_inspected_again() -> None:
    decider = tracker(exclude_names=["web"])
    admission = decider.admit(known(decider))
    assert admission.metadata is None
    assert "exclude_names" in admission.reason
    assert decider.is_excluded(ID, None)
    assert not decider.needs_inspection(listed(), None, again=True)
    assert decider.needs_inspection(listed("/other"), None, again=True), "its name changed"


def test_excluded_container_is_inspected_again_once_the_list_lost_it() -> None:
    decider = tracker(exclude_names=["web"])
    decider.admit(known(decider))
    decider.keep_listed({ID})
    assert not decider.needs_inspection(listed(), None, again=True)
    decider.keep_listed(set())
    assert decider.needs_inspection(listed(), None, again=True)


def test_excluded_container_with_a_job_is_admitted_as_left_out() -> None:
    decider = tracker(exclude_names=["web"])
    decider.jobs_before = frozenset({ID})
    admission = decider.admit(known(decider))
    assert admission.metadata is not None
    assert admission.metadata.left_out == admission.reason != ""
    assert decider.is_excluded(ID, admission.metadata)


@pytest.mark.parametrize(
    ("created", "ended", "fresh"), [(False, 0, True), (False, START - S, False), (True, START - S, True)]
)
def test_whole_life_is_seen_from_a_creation_or_a_first_run(created: bool, ended: int, fresh: bool) -> None:
    decider = tracker()
    if created:
        decider.created(ID)
    metadata = known(decider)
    metadata = replace(metadata, run_state=replace(metadata.run_state, ended=ended))
    assert decider.admit(metadata).fresh is fresh
    assert decider.admit(replace(metadata, run_state=RunState(ended=START))).fresh is False, "created counts once"


@pytest.mark.parametrize(
    ("summary", "again", "from_api", "running", "wanted"),
    [
        (listed(), True, False, True, False),
        (listed(), False, False, True, True),
        (listed("/other"), True, False, True, True),
        (listed(state="exited"), True, False, True, True),
        (listed(state="exited"), True, False, False, False),
        (listed(state="exited"), True, True, False, True),
    ],
)
def test_listed_container_is_inspected_when_the_list_shows_a_change(
    summary: dict[str, Any], again: bool, from_api: bool, running: bool, wanted: bool
) -> None:
    """A stopped container that is read through the API may have had a run that nothing else shows."""
    decider = tracker()
    metadata = known(decider, running=running, ended=0 if running else START + S)
    assert decider.needs_inspection(summary, metadata, again=again, read_from_api=from_api) is wanted


def test_own_name_is_not_an_alias_of_a_link() -> None:
    assert own_name({"Names": ["/aa-web/database", "/shop-db"]}) == "shop-db"
    assert own_name({"Names": None}) == ""


# --- what is reported ---


def test_start_event_begins_a_run_only_after_an_end() -> None:
    """The start that `inspect` knows of the same run is a little earlier than the event."""
    decider = tracker()
    metadata = known(decider)
    assert decider.start_seen(metadata, START + 5) == Observation()
    stopped = metadata.with_end(RunState(started=START, ended=START + S))
    assert decider.start_seen(stopped, START + 2 * S) == Observation(), "the engine did not say that it ended"
    decider.ended.add(ID)
    begun = decider.start_seen(stopped, START + 2 * S).metadata
    assert begun is not None
    assert (begun.run_state.running, begun.run_state.started, begun.life.state) == (True, START + 2 * S, "running")
    assert decider.start_seen(stopped, START + 2 * S) == Observation(), "one end allows one start"


def test_die_event_tells_the_end_and_its_exit_code() -> None:
    decider = tracker()
    observation = decider.handle_event("die", known(decider), {"exitCode": "3"}, START + S, now=0.0)
    (ended,) = observation.ended
    assert (ended.running, ended.started, ended.ended, ended.exit_code) == (False, START, START + S, 3)
    assert ID in decider.ended
    assert decider.handle_event("die", known(decider), {"exitCode": "0"}, START - 1, now=0.0) == Observation(), (
        "it is of an earlier run"
    )


def test_exit_code_that_a_label_may_forge_is_asked_for() -> None:
    decider = tracker()
    metadata = known(decider, Labels={"exitCode": "0"})
    assert decider.handle_event("die", metadata, {"exitCode": "0"}, START + S, now=0.0) == Observation(
        inspect_after_s=0.0
    )


def test_sudden_kill_is_recorded_after_the_wait_or_with_the_next_event() -> None:
    """Exit code 137 without anyone's signal: the kernel may have run out of memory, and the engine may still say so."""
    decider = tracker()
    metadata = known(decider)
    assert decider.handle_event("die", metadata, {"exitCode": "137"}, START + S, now=5.0) == Observation(
        inspect_after_s=WAIT_S
    )
    observation = decider.handle_event("oom", metadata, {}, START + S, now=5.5)
    assert [(ended.exit_code, ended.oom) for ended in observation.ended] == [(137, True)]
    assert not decider.handle_event("oom", metadata, {}, START + S, now=5.6).changes, "it is recorded once"


def test_inspected_end_that_is_in_doubt_counts_as_running_meanwhile() -> None:
    decider = tracker()
    before = known(decider)
    after = known(decider, running=False, ended=START + S, exit_code=137)
    observation = decider.inspected(after, before, action="list", now=1.0)
    assert observation.inspect_after_s == WAIT_S
    assert observation.metadata is not None
    assert observation.metadata.run_state.running
    observation = decider.inspected(after, before, action="examine", now=1.0 + WAIT_S)
    assert observation.inspect_after_s is None
    assert observation.metadata is not None
    assert observation.metadata.run_state.exit_code == 137


def test_newer_run_settles_the_end_in_doubt() -> None:
    decider = tracker()
    before = known(decider)
    decider.handle_event("die", before, {"exitCode": "137"}, START + S, now=0.0)
    observation = decider.inspected(known(decider, started=START + 2 * S), before, action="start", now=0.1)
    assert [ended.exit_code for ended in observation.ended] == [137]
    assert observation.metadata is not None
    assert observation.metadata.run_state.started == START + 2 * S
    assert ID not in decider.ended


def test_removed_container_ends_its_run_once() -> None:
    decider = tracker()
    metadata = known(decider)
    for observation in (decider.removed(metadata), decider.handle_event("destroy", metadata, {}, START + S, now=0.0)):
        (ended,) = observation.ended
        assert ended.gone
        assert not ended.running


def test_renamed_container_is_left_out_by_its_new_name() -> None:
    decider = tracker(include_names=["web*"])
    before = known(decider)
    assert decider.admit(before).metadata is not None
    renamed = decider.inspected(known(decider, Name="/other"), before, action="rename", now=0.0).metadata
    assert renamed is not None
    assert "include_names" in renamed.left_out


# --- descriptions ---


@pytest.mark.parametrize(("action", "state"), [("create", "created"), ("start", "running"), ("restart", "running")])
def test_container_that_is_gone_is_described_by_its_event(action: str, state: str) -> None:
    metadata = tracker().describe_from_event(action, ID, {"name": "web", "image": "shop/web:3"}, START)
    assert metadata is not None
    assert (metadata.name, metadata.life.state, metadata.run_state.started) == (
        "web",
        state,
        0 if action == "create" else START,
    )


def test_other_events_describe_no_container() -> None:
    assert tracker().describe_from_event("die", ID, {"name": "web"}, START) is None


def test_label_adds_to_the_processing_of_its_container() -> None:
    decider = tracker(ProcessingOptions(redact=("aws",)))
    metadata = known(decider, Labels={"logferry.redact": "github", "logferry.rate-limit": "fast"})
    assert decider.processing_of(metadata).redact == ("aws", "github")
    assert [notice.code for notice in metadata.notices] == ["label"]
