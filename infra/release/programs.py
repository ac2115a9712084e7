"""Run the programs that build and install the package."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TAIL_LINES = 25


class DistError(Exception):
    """A step failed. The message says which, why, and what to do where that is known."""


def run(command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str]) -> str:
    """Run a program without a keyboard and return its stdout.

    Args:
        command: The program and its arguments.
        cwd: The folder to run it in; None: this process's.
        env: Its whole environment.

    Raises:
        DistError: The program failed. The message ends with the tail of its output.
    """
    done = attempt(command, cwd=cwd, env=env)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-TAIL_LINES:])
        raise DistError(f"`{' '.join(str(word) for word in command)}` failed:\n{tail}")
    return done.stdout


def attempt(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program without a keyboard and return how it ended.

    Raises:
        DistError: There is no such program.
    """
    words = [str(word) for word in command]
    try:
        return subprocess.run(
            words, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise DistError(f"{words[0]} cannot be run ({error.strerror}).") from None
