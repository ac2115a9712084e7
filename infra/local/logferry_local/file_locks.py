"""Taking turns between processes, by locks on files that the kernel lets go of whatever happens to the holder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from logferry_local.private_files import open_private_file


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the file, then holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[None]:
    """Hold the file. Raises BlockingIOError at once when somebody else does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", opener=open_private_file) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
