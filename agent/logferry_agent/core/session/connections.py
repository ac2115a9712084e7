"""The connections that stand: the youngest is written to; the one before it is left when its answers are in."""

from __future__ import annotations

from collections.abc import Container

SILENT_TIMEOUTS = 3
"""So many requests unanswered in a row, with nothing else heard, and the connection is taken for dead."""


class Connections:
    """Which connections stand, and how each one does."""

    def __init__(self) -> None:
        self.current: int | None = None
        """The one to write to."""
        self._silence: dict[int, int] = {}
        """Of each that stands, how many requests it left unanswered since anything was heard on it."""

    def __contains__(self, link: int) -> bool:
        return link in self._silence

    def up(self, link: int) -> None:
        """A connection stands; it is written to from now on."""
        self.current = link
        self._silence[link] = 0

    def down(self, link: int) -> None:
        """A connection is gone."""
        self._silence.pop(link, None)
        if self.current == link:
            self.current = None

    def heard(self, link: int) -> None:
        """Something came on it."""
        if link in self._silence:
            self._silence[link] = 0

    def unanswered(self, link: int) -> bool:
        """A request on it timed out; True when it is to be taken for dead."""
        if link not in self._silence:
            return False
        self._silence[link] += 1
        return self._silence[link] >= SILENT_TIMEOUTS

    def leave(self, busy: Container[int]) -> list[int]:
        """Those that have a successor and are not busy: they are let go."""
        if self.current is None or len(self._silence) == 1:
            return []
        left = [link for link in self._silence if link != self.current and link not in busy]
        for link in left:
            del self._silence[link]
        return left
