"""The open connections to the cloud. The newest one is written to; an older one is closed when its answers are in.

A connection is known by a number, its `link`.
"""

from __future__ import annotations

from collections.abc import Container

SILENT_TIMEOUTS = 3
"""A connection counts as dead after this many unanswered requests in a row, with nothing received in between."""


class Connections:
    """The open connections, and how many requests each left unanswered."""

    def __init__(self) -> None:
        self.current: int | None = None
        """The connection to write to; None while there is none."""
        self._silence: dict[int, int] = {}
        """Per open connection: requests left unanswered since something was received on it."""

    def __contains__(self, link: int) -> bool:
        return link in self._silence

    def up(self, link: int) -> None:
        """Record a new connection, which is written to from now on."""
        self.current = link
        self._silence[link] = 0

    def remove(self, link: int) -> None:
        """Forget a connection that is gone."""
        self._silence.pop(link, None)
        if self.current == link:
            self.current = None

    def mark_received(self, link: int) -> None:
        """Record that something was received on a connection."""
        if link in self._silence:
            self._silence[link] = 0

    def unanswered(self, link: int) -> bool:
        """Record that a request timed out, and return whether its connection counts as dead."""
        if link not in self._silence:
            return False
        self._silence[link] += 1
        return self._silence[link] >= SILENT_TIMEOUTS

    def drop_replaced(self, busy: Container[int]) -> list[int]:
        """Forget the connections that have a successor and no pending answer, and return them.

        Args:
            busy: connections on which an answer is still expected.
        """
        if self.current is None or len(self._silence) == 1:
            return []
        replaced = [link for link in self._silence if link != self.current and link not in busy]
        for link in replaced:
            del self._silence[link]
        return replaced
