"""Test what happens when standard output accepts no more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from logferry_cli import app

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


def small() -> None:
    """Print one line, which stays in a buffer until the end."""
    typer.echo("line")


def large() -> None:
    """Print more than any buffer holds."""
    for _ in range(20_000):
        sys.stdout.write("a line that fills buffers\n")


def binary() -> None:
    """Write as `export` does."""
    sys.stdout.buffer.write(b"x" * 1_000_000)


def failing() -> None:
    """Fail with a message of its own."""
    typer.echo("line")
    raise typer.Exit(3)


@pytest.fixture(params=[small, large, binary, failing])
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide `logferry x`, which runs one of these commands."""

    def build(_words: object) -> typer.Typer:
        made = typer.Typer()
        made.command()(request.param)
        return made

    monkeypatch.setattr(app, "build", build)
    monkeypatch.setattr(sys, "argv", ["logferry"])

    """Restore the files of this process afterwards."""
    before = (sys.stdout, sys.stderr)
    yield
    assert (sys.stdout, sys.stderr) == before


def status() -> int:
    """Return the exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        app.main()
    return int(ended.value.code or 0)


@full
@pytest.mark.usefixtures("command")
def test_full_disk_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it fails at once or only when the last buffer is written."""
    with open("/dev/full", "w") as disk, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", disk)
        assert status() == 1
    said = capsys.readouterr().err
    assert (
        said == "logferry: The output cannot be written (No space left on device). Check that the disk is not full.\n"
    )


@pytest.mark.usefixtures("command")
def test_broken_pipe_is_silent_and_status_141(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status that shells give a program ended by SIGPIPE (`| head`)."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", pipe)
        assert status() == 141
    assert capsys.readouterr().err == ""


@full
def test_full_disk_for_stderr_keeps_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nowhere to report it."""
    monkeypatch.setattr(sys, "argv", ["logferry", "jobs", "--state", "/nowhere"])
    with open("/dev/full", "w") as disk, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", disk)
        assert status() == 1


def test_text_that_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Japanese name on a latin-1 terminal causes no stack trace."""
    monkeypatch.setattr(sys, "argv", ["logferry"])
    made = typer.Typer()
    made.command()(lambda: typer.echo("日本 é"))
    monkeypatch.setattr(app, "build", lambda _words: made)
    with (tmp_path / "out").open("w", encoding="latin-1") as file, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", file)
        assert status() == 0
    assert (tmp_path / "out").read_bytes() == b"\\u65e5\\u672c \xe9\n"
