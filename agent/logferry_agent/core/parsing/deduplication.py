"""Find which fragments of a log that is read again were read before.

A fragment is identified by stream, timestamp and text, not by its timestamp alone.

`CursorSeeker` finds the position of a cursor in a copy of the log. `Deduplicator` remembers recent fragments, so that
fragments the engine sends twice are dropped, although clocks step back and lines of a burst may come late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from .fragments import CUT, LINE, TAIL, Fragments, StreamPositions, digest
from .timestamps import format_stamp

_GENERATION: Final = 131_072
"""Fragments after which the older half of the deduplicator is forgotten: two of them cover a rotated file of 20 MB in
150-byte records, at about 60 bytes each."""
_SOON: Final = 2_000
"""The last so many fragments are remembered of those whose repeats are not to be feared."""
_ORDINAL_STEP: Final = 0x9E3779B97F4A7C15


class Deduplicator:
    """What was read lately. Holds a number for each fragment, never its text."""

    def __init__(self) -> None:
        self._old: set[int] = set()
        self._new: set[int] = set()
        self._newest = ""
        """The latest timestamp of all that was read, be it remembered or not."""
        self._unkeyed: deque[Fragments] = deque()
        """Remembered, but what they are known by is not worked out."""
        self._unkeyed_lines = 0
        self._open: dict[str, tuple[str, int]] = {}
        """Of each stream whose line goes on its timestamp and how many pieces carried it: they may all be alike."""

    def __bool__(self) -> bool:
        return bool(self._new or self._old or self._unkeyed)

    def keys(self, fragments: Fragments) -> list[int]:
        """What each fragment is known by. Call once for each, in the order of the log."""
        keys = _keys(fragments)
        if not fragments.ends and not self._open:
            return keys
        ends = fragments.ends or LINE * len(fragments)
        for index, (stamp, stream, end) in enumerate(zip(fragments.stamps, fragments.streams, ends, strict=True)):
            before, ordinal = self._open.pop(stream, ("", 0))
            # A line has one last piece only, which its timestamp tells from all others.
            if end == CUT:
                ordinal = ordinal + 1 if before == stamp else 1
                self._open[stream] = (stamp, ordinal)
                keys[index] += ordinal * _ORDINAL_STEP
        return keys

    def restart(self) -> None:
        """The log is read again from elsewhere: its first fragments do not follow what was read last."""
        self._open.clear()

    def find_new(self, keys: list[int]) -> Sequence[int]:
        """The indices of those that were not read lately, rising."""
        self._work_out()
        if self._new.isdisjoint(keys) and (not self._old or self._old.isdisjoint(keys)):
            return range(len(keys))
        return [index for index, key in enumerate(keys) if key not in self._new and key not in self._old]

    def add(self, keys: list[int]) -> None:
        """These were read."""
        self._work_out()
        self._new.update(keys)
        if len(self._new) > _GENERATION:
            self._old, self._new = self._new, set()

    def note_newest(self, fragments: Fragments) -> None:
        """These were read, some or all of them, and are or will be added by their keys."""
        self._newest = max(self._newest, max(fragments.stamps, default=""))

    @property
    def has_pending_keys(self) -> bool:
        """Whether keys wait to be worked out: whoever asks for any pays for them all."""
        return bool(self._unkeyed)

    def are_newer(self, fragments: Fragments) -> bool:
        """Whether these are whole lines, and later than all that was read: so none of them can have been read."""
        return not fragments.ends and not self._open and min(fragments.stamps, default="") > self._newest

    def add_newer(self, fragments: Fragments) -> None:
        """Remember fragments for which `are_newer` is true.

        Only the last ones are remembered, and their keys are computed when they are first needed: most of a backlog
        never needs them.
        """
        self.note_newest(fragments)
        self._unkeyed.append(fragments)
        self._unkeyed_lines += len(fragments)
        while self._unkeyed_lines - len(self._unkeyed[0]) >= _SOON:
            self._unkeyed_lines -= len(self._unkeyed.popleft())

    def _work_out(self) -> None:
        while self._unkeyed:
            self._new.update(_keys(self._unkeyed.popleft()))
        self._unkeyed_lines = 0


def _keys(fragments: Fragments) -> list[int]:
    return list(map(hash, zip(fragments.stamps, fragments.streams, fragments.texts, strict=True)))


class CursorSeeker:
    """Finds the place behind a cursor's marks in a copy of the log that is read from somewhere before it.

    The place is behind the fragment that was read last, wherever its timestamp stands among the others: clocks step
    back.
    """

    def __init__(self, stream_positions: StreamPositions) -> None:
        self._stream = stream_positions.last or (
            "o" if stream_positions.out.read and stream_positions.out.stamp == stream_positions.latest else "e"
        )
        self._mark = stream_positions.of(self._stream)
        self._seen = 0
        self.found = not self._mark.read
        """Whether the place was met: all before it was read, nothing behind it was lost."""

    def unread(
        self, fragments: Fragments, keys: list[int] | None = None, unsure: frozenset[int] = frozenset()
    ) -> list[int]:
        """The indices of the fragments that come after the place; none before it was met.

        unsure: of these it cannot be told which piece of their line they are.
        """
        if self.found:
            return list(range(len(fragments)))
        wanted = format_stamp(self._mark.stamp)
        for index, (stamp, stream) in enumerate(zip(fragments.stamps, fragments.streams, strict=True)):
            if stamp != wanted or stream != self._stream or index in unsure:
                continue
            self._seen += 1
            if self._seen == self._mark.ordinal and (behind := self._behind(fragments, index)):
                self.found = True
                return list(range(behind, len(fragments)))
        return []

    def _behind(self, fragments: Fragments, index: int) -> int:
        """The index behind the mark's fragment if this is it, else 0.

        Version 0.1.0 took an unterminated line of a TTY and the one behind it, timestamp included, for one.
        """
        text, stop = fragments.texts[index], index + 1
        while digest(text) != self._mark.digest:
            if stop == len(fragments) or fragments.ending(stop - 1) != TAIL:
                return 0
            text += f"{fragments.stamps[stop]} {fragments.texts[stop]}"
            stop += 1
        return stop
