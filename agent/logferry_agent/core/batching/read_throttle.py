"""Decide how often a growing log is read.

Each read is parsed and passed on by itself, which costs a hundred times what one of its lines costs. So after reaching
the end of a log, the reader pauses, and the lines that come meanwhile are one read. In a burst the reader does not
pause.
"""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 0.01
"""2026-11, 2,000 lines a second, one by one: 5 % of a CPU with this pause, and 35 % without."""

BURST_S: Final = 1.0
"""There is no pause for this long after a large read: in a burst a read right after another one brings little."""


class ReadThrottle:
    """Decides on the pauses between the reads of one log."""

    def __init__(self, burst_size: int, burst_pause_s: float = 0.0) -> None:
        """Start without a burst.

        Args:
            burst_size: a read that brings at least this much begins a burst. The unit is the caller's.
            burst_pause_s: the pause in a burst after a read that brought less.
        """
        self._burst_size = burst_size
        self._burst_pause_s = burst_pause_s
        self._burst_until = float("-inf")

    def pause_s(self, size: int, now: float) -> float:
        """Return how many seconds to pause after a read.

        Args:
            size: what the read brought, in the unit of `burst_size`.
            now: seconds of a monotonic clock.
        """
        if size >= self._burst_size:
            self._burst_until = now + BURST_S
            return 0.0
        return self._burst_pause_s if now < self._burst_until else PAUSE_S
