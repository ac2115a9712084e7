"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], bool], *, timeout_s: float, every_s: float = 0.05) -> bool:
    """Ask until it holds (True) or the time is over (False)."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
