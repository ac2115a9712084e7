"""Locks between processes, by files. The kernel releases them whatever happens to the holder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from logferry_state.private_files import open_private_file


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a lock within a block, after waiting until no other process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[None]:
    """Hold a lock within a block.

    Raises:
        BlockingIOError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", opener=open_private_file) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
