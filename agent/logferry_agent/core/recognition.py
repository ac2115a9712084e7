"""Which fragments of a log read again were read before: by what they are (stream, timestamp, text), not by time
alone.

Two aids. `Seeker` finds the place of a cursor in a copy of the log. `Memory` remembers what was read lately, so that
what an engine sends twice is dropped, although clocks step back and lines of a burst may come late.
"""

from __future__ import annotations

from typing import Final

from .lines import Fragments, Mark, Marks, digest
from .stamps import nanoseconds

_GENERATION: Final = 131_072
"""Fragments after which the older half of the memory is forgotten: two of them cover a rotated file of 20 MB in
150-byte records, at about 60 bytes each."""
_ORDINAL_STEP: Final = 0x9E3779B97F4A7C15


class Memory:
    """What was read lately. Holds a number for each fragment, never its text."""

    def __init__(self) -> None:
        self._old: set[int] = set()
        self._new: set[int] = set()
        self._last: dict[str, tuple[str, int]] = {}
        """Of each stream the last timestamp and how many fragments carried it: pieces of one line may all be alike."""

    def __bool__(self) -> bool:
        return bool(self._new or self._old)

    def keys(self, fragments: Fragments) -> list[int]:
        """What each fragment is known by. Call once for each, in the order of the log."""
        keys = list(map(hash, zip(fragments.stamps, fragments.streams, fragments.texts, strict=True)))
        if (
            not fragments.ends
            and len(set(fragments.stamps)) == len(fragments.stamps)
            and not self._continues(fragments)
        ):
            for stream in "oe":
                last = fragments.streams.rfind(stream)
                if last >= 0:
                    self._last[stream] = (fragments.stamps[last], 1)
            return keys
        for index, (stamp, stream) in enumerate(zip(fragments.stamps, fragments.streams, strict=True)):
            before, ordinal = self._last.get(stream, ("", 0))
            ordinal = ordinal + 1 if before == stamp else 1
            self._last[stream] = (stamp, ordinal)
            keys[index] += (ordinal - 1) * _ORDINAL_STEP
        return keys

    def rewind(self) -> None:
        """The log is read again from elsewhere: its first fragments do not follow what was read last."""
        self._last.clear()

    def unknown(self, keys: list[int]) -> list[int]:
        """The indices of those that were not read lately."""
        if self._new.isdisjoint(keys) and self._old.isdisjoint(keys):
            return list(range(len(keys)))
        return [index for index, key in enumerate(keys) if key not in self._new and key not in self._old]

    def add(self, keys: list[int]) -> None:
        """These were read."""
        self._new.update(keys)
        if len(self._new) > _GENERATION:
            self._old, self._new = self._new, set()

    def _continues(self, fragments: Fragments) -> bool:
        for stream in "oe":
            first = fragments.streams.find(stream)
            if first >= 0 and self._last.get(stream, ("",))[0] == fragments.stamps[first]:
                return True
        return False


class Seeker:
    """Finds the place behind a cursor's marks in a copy of the log that is read from somewhere before it."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._seen = {"o": 0, "e": 0}
        self._passed = {"o": not marks.out.stamp, "e": not marks.err.stamp}
        self.found = False
        """Whether at least one of the marks was met: all before it was read, nothing behind it was lost."""

    def unread(self, fragments: Fragments) -> list[int]:
        """The indices of the fragments that come after the marks."""
        if all(self._passed.values()):
            return list(range(len(fragments)))
        fresh = []
        for index, (stamp, stream) in enumerate(zip(fragments.stamps, fragments.streams, strict=True)):
            if self._passed[stream] or self._passes(
                self._marks.of(stream), stream, nanoseconds(stamp), fragments, index
            ):
                fresh.append(index)
        return fresh

    def _passes(self, mark: Mark, stream: str, time: int, fragments: Fragments, index: int) -> bool:
        if time < mark.stamp:
            return False
        if time > mark.stamp:
            self._passed[stream] = True
            return True
        self._seen[stream] += 1
        if self._seen[stream] >= mark.ordinal:
            self._passed[stream] = True
            self.found = self.found or digest(fragments.texts[index]) == mark.digest
        return False
