"""Running other programs: quiet when they succeed, their output shown when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class SetupError(Exception):
    """A step failed; the text says which, why, and what to do."""


def run(
    command: Sequence[str | Path], advice: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """The program's stdout.

    Raises SetupError with the tail of its output and `advice` when it fails; never waits for the keyboard.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{words[0]} cannot be run ({error.strerror}). {advice}") from None
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise SetupError(f"`{' '.join(words)}` failed:\n{tail}\n{advice}")
    return done.stdout


def say(text: str) -> None:
    """One line of progress, at once."""
    print(f"setup: {text}", file=sys.stderr, flush=True)
