"""app.py: an agent whose pipeline ends on an error begins anew, and health says which jobs are parked."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from logferry_agent import app
from logferry_agent.edge.spool import SpoolCorruptError


class Ending(threading.Event):
    """Is waited for without a wait."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class Agents:
    """Makes agents whose pipelines end as said, one after the other; the last one is told to end."""

    def __init__(self, failures: list[Exception | None], ending: Ending) -> None:
        self.failures, self.ending = failures, ending
        self.made = self.stopped = 0

    def __call__(self, *_: object) -> SimpleNamespace:
        failure = self.failures[self.made]
        self.made += 1
        if failure is None:
            self.ending.set()
        spool = SimpleNamespace(damage=lambda: Path("spool-0.damaged"))
        return SimpleNamespace(
            start=lambda: None, stop=self.stop, pipeline=SimpleNamespace(alive=False, failure=failure), spool=spool
        )

    def stop(self) -> None:
        self.stopped += 1


def run(monkeypatch: pytest.MonkeyPatch, *failures: Exception | None) -> tuple[int, Agents]:
    ending = Ending()
    agents = Agents(list(failures), ending)
    monkeypatch.setattr(app, "Agent", agents)
    connection: Any = SimpleNamespace(identity=object)
    return app._run(cast(Any, None), connection, None, ending), agents


def test_pipeline_that_ends_on_an_error_of_ours_begins_anew_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one is ended whole before the next one begins."""
    status, agents = run(monkeypatch, ValueError(), ValueError(), None)
    assert (status, agents.made, agents.stopped) == (0, 3, 3)


def test_pipeline_that_ends_again_and_again_ends_the_process_with_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever started it has to know."""
    status, agents = run(monkeypatch, *[ValueError()] * 9)
    assert (status, agents.made) == (70, app.MOST_FAILURES + 1)


def test_spool_that_turns_out_damaged_does_not_count_as_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    status, agents = run(monkeypatch, *[SpoolCorruptError("damaged")] * 5, None)
    assert (status, agents.made) == (0, 6)


def test_health_names_what_is_parked_and_stays_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on, so the agent is not to be started anew for it."""
    agent = app.Agent.__new__(app.Agent)
    agent.pipeline = cast(Any, SimpleNamespace(parked=lambda: ["web: its lines cannot be processed"]))
    found: list[str] = []
    monkeypatch.setattr(agent, "troubles", lambda: found)
    assert agent._health_page() == (200, "text/plain", b"ok\nparked: web: its lines cannot be processed\n")
    found.append("the spool's disk cannot be written")
    assert agent._health_page()[::2] == (
        503,
        b"the spool's disk cannot be written\nparked: web: its lines cannot be processed\n",
    )
