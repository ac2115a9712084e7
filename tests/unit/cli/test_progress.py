"""Test how a long step shows how far it is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from logferry_cli import progress
from logferry_cli.progress import Steps


def lines(*, every_s: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a log gets of a step that tells three times how far it is."""
    monkeypatch.setattr(progress, "LOG_EVERY_S", every_s)
    steps, output = Steps(), io.StringIO()
    steps.console = Console(file=output, width=200)
    with steps("Deploying") as step:
        for done in range(3):
            step.tell(f"[{done}] of 3")
    return output.getvalue().splitlines()


def test_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(every_s=0.0, monkeypatch=monkeypatch)[:-1] == [f"  Deploying: [{done}] of 3" for done in range(3)]


def test_log_of_a_short_step_gets_its_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    (end,) = lines(every_s=3600.0, monkeypatch=monkeypatch)
    assert end.startswith("✓ Deploying")
