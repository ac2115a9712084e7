"""Run a program whose output goes into a log, and find in the log why it failed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from logferry_state.private_files import open_private_file

MESSAGE_CHARS = 400


def run_logged(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], cwd: Path) -> str | None:
    """Run a program, with its output in a log that only its owner can read.

    Args:
        command: The program and its arguments.
        log: The file for its output, which is replaced.
        environment: The program's environment.
        cwd: The folder to run it in.

    Returns:
        What it said of its failure; None if it did not fail.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SAM leaves a temporary folder for every function that it packs.
    with open(log, "wb", opener=open_private_file) as output, TemporaryDirectory(prefix="logferry-run-") as scratch:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment, "TMPDIR": scratch},
            cwd=cwd,
            check=False,
        )
    return failure_message(log) if done.returncode != 0 else None


def failure_message(log: Path) -> str:
    """Return a log's words on a failure: two lines from the first one with an error, else the last line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    found = (
        at for at, line in enumerate(lines) if re.search(r"\berror\b|failed|not found|invalid", line, re.IGNORECASE)
    )
    at = next(found, len(lines) - 1)
    return " ".join(lines[at : at + 2])[:MESSAGE_CHARS]
