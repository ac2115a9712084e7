"""Run `logferry up` once for the tests of the local cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOGFERRY = Path(sys.executable).parent / "logferry"


def logferry(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return the command's result; foreign AWS configuration in its environment must not matter."""
    around = {name: value for name, value in os.environ.items() if not name.startswith("LOGFERRY_")}
    foreign = {"AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "LOGFERRY_STATE": str(folder)}
    return subprocess.run(
        [str(LOGFERRY), *words],
        capture_output=True,
        text=True,
        env=around | foreign,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Provide the state folder of a running local cloud without an agent."""
    folder = tmp_path_factory.mktemp("cloud")
    done = logferry("up", "--detach", "--no-agent", folder=folder)
    try:
        assert done.returncode == 0, done.stderr
        yield folder
    finally:
        logferry("down", folder=folder)
