"""Readings of a log that do not follow: what of them is new, and whether they came to the log's end."""

from __future__ import annotations

from typing import Protocol

from .fragments import CUT, Fragments
from .log_stream import ReadResult


class PositionSeeker(Protocol):
    """A place in the log that is looked for."""

    found: bool

    def unread(self, fragments: Fragments, keys: list[int], unsure: frozenset[int]) -> list[int]:
        """The indices of the fragments that come after it. `unsure`: of these it cannot be told which piece of their
        line they are."""
        ...


class KeySeeker:
    """The place behind a fragment by its key; None: the beginning."""

    def __init__(self, key: int | None) -> None:
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
    """The beginning of a tail: its first line may be one that began before, and so may each that is older."""

    def __init__(self, *, whole: bool, steps: bool = False) -> None:
        """whole: it is the whole log.
        steps: a piece may be a later one though its time is after the tail's first: the clock may have been set back.
        """
        self._steps = steps
        self._oldest = ""
        self._streams = set() if whole else {"o", "e"}
        """Those of which no line was seen that certainly begins here."""
        self._first: dict[str, str] = {}

    def find_unsure(self, fragments: Fragments) -> frozenset[int]:
        """The indices of what may be a later piece of a line."""
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
    """One reading of the log that does not follow, and whether it came to the end that is known to be there."""

    def __init__(self, end: tuple[str, str] | None, asked: int | None = None) -> None:
        """end: the end that is known; None: any will do. asked: for so many entries, None for all."""
        self._asked = asked
        self.entries = 0
        self.last: tuple[str, str] | None = None
        """Of the last entry so far, timestamp and stream."""
        self._end = end
        self._complete = end is None
        self._failed = False

    def add(self, part: ReadResult) -> None:
        """It gave this."""
        stamps, streams = part.fragments.stamps, part.fragments.streams
        self.entries += len(stamps)
        self._failed = self._failed or bool(part.errors)
        if stamps:
            self.last = (stamps[-1], streams[-1])
        if not self._complete and self._end is not None and self._end[0] in stamps:
            self._complete = self._end in zip(stamps, streams, strict=True)

    @property
    def broken(self) -> bool:
        """Whether it ended before its end. What was last may be further back by now, or rotated away; then as much as
        was asked for is there, or newer."""
        if self._failed or self._complete or self._end is None:
            return self._failed
        last = self.last[0] if self.last is not None else ""
        return last < self._end[0] and (self._asked is None or self.entries < self._asked)
