"""How often a log that grows is read.

Each read is parsed and passed on by itself, which costs a hundred times what a line in it does. So a log that was read
to its end rests, and what comes meanwhile is one read; but where much comes, nothing waits.
"""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 0.01
"""2026-11, 2,000 lines a second, one by one: 5 % of a CPU, and 35 % without."""

BURST_S: Final = 1.0
"""After much came there is no rest for so long: in a burst a read right after another one brings little."""


class ReadThrottle:
    """Of one log."""

    def __init__(self, much: int, breath_s: float = 0.0) -> None:
        """much: what a read brings, in whatever it is counted, when the log is not to rest.

        breath_s: how long not to read, all the same, after a read in a burst that brought less.
        """
        self._much = much
        self._breath_s = breath_s
        self._restless_until = float("-inf")

    def pause_s(self, came: int, now: float) -> float:
        """For how long (seconds) not to read it, after a read that brought so much."""
        if came >= self._much:
            self._restless_until = now + BURST_S
            return 0.0
        return self._breath_s if now < self._restless_until else PAUSE_S
