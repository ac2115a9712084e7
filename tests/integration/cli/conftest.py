"""Run the command in this process against a fake cloud that speaks the viewers' contract."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.viewer_cloud import ViewerCloud

from logferry_cli import app


@dataclass(frozen=True)
class Outcome:
    """The result of a command."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Run = Callable[..., Outcome]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ViewerCloud]:
    """Provide a fake cloud that the environment names like a deployed one."""
    with ViewerCloud() as running:
        monkeypatch.setenv("LOGFERRY_STATE", str(tmp_path / "no-local-cloud"))
        monkeypatch.setenv("LOGFERRY_API_URL", running.url)
        monkeypatch.setenv("LOGFERRY_VIEWERS_URL", f"ws://127.0.0.1:{running.port}/live")
        monkeypatch.setenv("LOGFERRY_VIEWER_KEY", running.key)
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the command in this process as the shell would."""

    def runs(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["logferry", *words])
        capfdbinary.readouterr()
        status = 0
        try:
            app.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capfdbinary.readouterr()
        return Outcome(status, captured.out, captured.err.decode())

    return runs
