"""Readings of a log that do not follow it: which fragments are new, and whether the reading reached the log's end."""

from __future__ import annotations

from typing import Protocol

from .fragments import CUT, Fragments
from .log_stream import ReadResult


class PositionSeeker(Protocol):
    """Looks for a position in the log."""

    found: bool

    def unread(self, fragments: Fragments, keys: list[int], unsure: frozenset[int]) -> list[int]:
        """Return the indices of the fragments after the position.

        Args:
            fragments: the next fragments of the reading.
            keys: their keys (see `Deduplicator.keys`).
            unsure: indices of fragments that may be any piece of their line.
        """
        ...


class KeySeeker:
    """Looks for the position after a fragment, by the fragment's key."""

    def __init__(self, key: int | None) -> None:
        """Look for `key`; None: the position is the beginning of the log."""
        self._key = key
        self.found = key is None

    def unread(self, fragments: Fragments, keys: list[int], unsure: frozenset[int]) -> list[int]:
        """See `PositionSeeker`."""
        if self.found:
            return list(range(len(fragments)))
        if self._key not in keys:
            return []
        index = keys.index(self._key)
        if index in unsure:
            return []
        self.found = True
        return list(range(index + 1, len(keys)))


class TailStart:
    """Finds the fragments at the start of a tail that may be later pieces of a line that began before the tail.

    The first line of each stream may be one, and so may each line that is older than it.
    """

    def __init__(self, *, whole: bool, steps: bool = False) -> None:
        """Start before the first fragment.

        Args:
            whole: the tail is the whole log, so no line began before it.
            steps: the clock may have been set back, so that a later piece may have a time after the tail's first.
        """
        self._steps = steps
        self._oldest = ""
        self._streams = set() if whole else {"o", "e"}
        """Streams of which no line was seen yet that certainly begins in the tail."""
        self._first: dict[str, str] = {}

    def find_unsure(self, fragments: Fragments) -> frozenset[int]:
        """Return the indices of the fragments that may be later pieces of a line."""
        found = set()
        if self._streams:
            for index, (stamp, stream) in enumerate(zip(fragments.stamps, fragments.streams, strict=True)):
                self._oldest = self._oldest or stamp
                if stream not in self._streams:
                    continue
                first = self._first.setdefault(stream, stamp)
                later = stamp <= self._oldest or (self._steps and fragments.ending(index) == CUT)
                if first == stamp and later:
                    found.add(index)
                else:
                    self._streams.discard(stream)
        return frozenset(found)


class CatchUpRead:
    """One reading of the log that does not follow it. It knows whether the reading came to the log's known end."""

    def __init__(self, end: tuple[str, str] | None, asked: int | None = None) -> None:
        """Start before the first fragment.

        Args:
            end: timestamp and stream of the last entry that is known to exist; None: any end is complete.
            asked: the number of entries that the engine was asked for; None: all.
        """
        self._asked = asked
        self.entries = 0
        self.last: tuple[str, str] | None = None
        """Timestamp and stream of the last entry so far."""
        self._end = end
        self._complete = end is None
        self._failed = False

    def add(self, part: ReadResult) -> None:
        """Record what the reading brought."""
        stamps, streams = part.fragments.stamps, part.fragments.streams
        self.entries += len(stamps)
        self._failed = self._failed or bool(part.errors)
        if stamps:
            self.last = (stamps[-1], streams[-1])
        if not self._complete and self._end is not None and self._end[0] in stamps:
            self._complete = self._end in zip(stamps, streams, strict=True)

    @property
    def broken(self) -> bool:
        """Return whether the reading ended before the log's end.

        The known end may be further back by now, or rotated away. Then the reading brought as many entries as it asked
        for, or newer ones.
        """
        if self._failed or self._complete or self._end is None:
            return self._failed
        last = self.last[0] if self.last is not None else ""
        return last < self._end[0] and (self._asked is None or self.entries < self._asked)
