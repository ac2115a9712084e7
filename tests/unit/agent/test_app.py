"""Test `app.py`: a pipeline that fails is restarted, and health names parked jobs."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from logferry_agent import app
from logferry_agent.edge.docker_client import EngineUnavailableError
from logferry_agent.edge.spool import SpoolCorruptError


class ImmediateEvent(threading.Event):
    """Waits without delay."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class Agents:
    """Make agents whose pipelines end as specified, one after the other; stop the last one."""

    def __init__(self, failures: list[Exception | None], ending: ImmediateEvent) -> None:
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
    ending = ImmediateEvent()
    agents = Agents(list(failures), ending)
    monkeypatch.setattr(app, "Agent", agents)
    connection: Any = SimpleNamespace(identity=object)
    return app._run(cast(Any, None), connection, None, ending), agents


def test_failed_pipeline_is_restarted_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one is closed completely before the next one starts."""
    status, agents = run(monkeypatch, ValueError(), ValueError(), None)
    assert (status, agents.made, agents.stopped) == (0, 3, 3)


def test_repeatedly_failing_pipeline_ends_the_process_with_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that started it has to know."""
    status, agents = run(monkeypatch, *[ValueError()] * 9)
    assert (status, agents.made) == (70, app.MOST_FAILURES + 1)


def test_damaged_spool_does_not_count_as_our_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    status, agents = run(monkeypatch, *[SpoolCorruptError("damaged")] * 5, None)
    assert (status, agents.made) == (0, 6)


def test_health_names_parked_jobs_and_stays_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other jobs continue, so the agent needs no restart."""
    agent = app.Agent.__new__(app.Agent)
    agent.pipeline = cast(Any, SimpleNamespace(parked=lambda: ["web: its lines cannot be processed"]))
    found: list[str] = []
    monkeypatch.setattr(agent, "problems", lambda: found)
    assert agent._health_page() == (200, "text/plain", b"ok\nparked: web: its lines cannot be processed\n")
    found.append("the spool's disk cannot be written")
    assert agent._health_page()[::2] == (
        503,
        b"the spool's disk cannot be written\nparked: web: its lines cannot be processed\n",
    )


@pytest.mark.parametrize(
    ("alive", "answer"), [(True, (200, b"alive\n")), (False, (503, b"the pipeline stopped: ValueError()\n"))]
)
def test_liveness_asks_only_whether_a_restart_helps(alive: bool, answer: tuple[int, bytes]) -> None:
    """What the cloud says does not count."""
    agent = app.Agent.__new__(app.Agent)
    agent.pipeline = cast(Any, SimpleNamespace(alive=alive, failure=ValueError()))
    agent.socket = cast(Any, SimpleNamespace(status=SimpleNamespace(connected=False, refused=True, error="refused")))
    assert agent._live_page()[::2] == answer


def test_waiting_for_the_engine_names_another_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rootless engine is elsewhere."""
    ending = ImmediateEvent()

    def identity() -> None:
        ending.set()
        raise EngineUnavailableError("no such file")

    said: list[dict[str, str]] = []
    monkeypatch.setattr(app.log, "warning", lambda _, **fields: said.append(fields))
    connection: Any = SimpleNamespace(identity=identity, advice="set docker_host=unix:///run/user/1000/docker.sock")
    assert app._wait_for_engine(connection, ending) is None
    assert said[0]["advice"] == connection.advice
