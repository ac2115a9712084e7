"""Test `edge/api_loop.py`: our own error is reported with its job, and only while it lasts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from logferry_agent.edge import api_loop
from logferry_agent.edge.api_loop import ApiLoop
from logferry_agent.edge.container_reader import FAILED, Step


def test_job_is_healthy_as_soon_as_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its health changes before the engine's containers are listed the next time."""
    monkeypatch.setattr(api_loop, "_FAILED_S", 0.0)
    steps: list[Step | Exception] = [
        Step.DONE,
        Step.MORE,
        ValueError("an internal error"),
        ValueError("an internal error"),
    ]
    told: list[str | None] = []

    def step(*_: object) -> Step:
        match steps.pop():
            case Step() as found:
                return found
            case error:
                raise error

    reading: Any = SimpleNamespace(id="a" * 64, step=step, begin_again=lambda _: None)
    sink: Any = SimpleNamespace(job_problem=lambda _, problem: told.append(problem))
    loop = ApiLoop(reading, cast(Any, sink))
    loop.start()
    loop.join(10.0)
    assert loop.done
    assert told == [FAILED, FAILED, None]
