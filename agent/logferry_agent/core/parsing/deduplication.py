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
"""Number of fragments after which the older generation is forgotten. Two generations cover a rotated file of 20 MB in
150-byte records, at about 60 bytes of memory for each fragment."""
_SOON: Final = 2_000
"""Number of the last fragments that are remembered when a repeat of older ones is not expected."""
_ORDINAL_STEP: Final = 0x9E3779B97F4A7C15


class Deduplicator:
    """Remembers which fragments were read recently. It holds a number for each fragment, never its text."""

    def __init__(self) -> None:
        self._old: set[int] = set()
        self._new: set[int] = set()
        self._newest = ""
        """The latest timestamp of all fragments that were read, remembered or not."""
        self._unkeyed: deque[Fragments] = deque()
        """Remembered fragments whose keys are not computed yet."""
        self._unkeyed_lines = 0
        self._open: dict[str, tuple[str, int]] = {}
        """For each stream with an open line, the line's timestamp and number of pieces. Their texts may be equal."""

    def __bool__(self) -> bool:
        return bool(self._new or self._old or self._unkeyed)

    def keys(self, fragments: Fragments) -> list[int]:
        """Return the key of each fragment. Call this once for each fragment, in the order of the log."""
        keys = _keys(fragments)
        if not fragments.ends and not self._open:
            return keys
        ends = fragments.ends or LINE * len(fragments)
        for index, (stamp, stream, end) in enumerate(zip(fragments.stamps, fragments.streams, ends, strict=True)):
            before, ordinal = self._open.pop(stream, ("", 0))
            # A line has only one last piece, and its timestamp distinguishes it from the last pieces of other lines.
            if end == CUT:
                ordinal = ordinal + 1 if before == stamp else 1
                self._open[stream] = (stamp, ordinal)
                keys[index] += ordinal * _ORDINAL_STEP
        return keys

    def restart(self) -> None:
        """Prepare for another reading of the log, whose first fragments do not follow what was read last."""
        self._open.clear()

    def find_new(self, keys: list[int]) -> Sequence[int]:
        """Return the indices of the keys that were not read recently, in rising order."""
        self._compute_keys()
        if self._new.isdisjoint(keys) and (not self._old or self._old.isdisjoint(keys)):
            return range(len(keys))
        return [index for index, key in enumerate(keys) if key not in self._new and key not in self._old]

    def add(self, keys: list[int]) -> None:
        """Remember the keys of fragments that were read."""
        self._compute_keys()
        self._new.update(keys)
        if len(self._new) > _GENERATION:
            self._old, self._new = self._new, set()

    def note_newest(self, fragments: Fragments) -> None:
        """Update the latest timestamp with fragments whose keys were or will be added."""
        self._newest = max(self._newest, max(fragments.stamps, default=""))

    @property
    def has_pending_keys(self) -> bool:
        """Return whether keys are still to be computed. The next call of `find_new` or `add` computes them all."""
        return bool(self._unkeyed)

    def are_newer(self, fragments: Fragments) -> bool:
        """Return whether all are whole lines and later than everything that was read, so that none can be a repeat."""
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

    def _compute_keys(self) -> None:
        while self._unkeyed:
            self._new.update(_keys(self._unkeyed.popleft()))
        self._unkeyed_lines = 0


def _keys(fragments: Fragments) -> list[int]:
    return list(map(hash, zip(fragments.stamps, fragments.streams, fragments.texts, strict=True)))


class CursorSeeker:
    """Finds the position of a cursor in a copy of the log that is read from somewhere before it.

    The position is after the fragment that was read last, whatever the timestamps around it are: clocks step back.
    """

    def __init__(self, stream_positions: StreamPositions) -> None:
        self._stream = stream_positions.last or (
            "o" if stream_positions.out.read and stream_positions.out.stamp == stream_positions.latest else "e"
        )
        self._position = stream_positions.of(self._stream)
        self._seen = 0
        self.found = not self._position.read
        """Whether the position was reached: everything before it was read, and nothing after it was lost."""

    def unread(
        self, fragments: Fragments, keys: list[int] | None = None, unsure: frozenset[int] = frozenset()
    ) -> list[int]:
        """Return the indices of the fragments after the position; an empty list before it is reached.

        Args:
            fragments: the next fragments of the copy.
            keys: not used; other seekers need them.
            unsure: indices of fragments that may be any piece of their line.
        """
        if self.found:
            return list(range(len(fragments)))
        wanted = format_stamp(self._position.stamp)
        for index, (stamp, stream) in enumerate(zip(fragments.stamps, fragments.streams, strict=True)):
            if stamp != wanted or stream != self._stream or index in unsure:
                continue
            self._seen += 1
            if self._seen == self._position.ordinal and (after := self._index_after(fragments, index)):
                self.found = True
                return list(range(after, len(fragments)))
        return []

    def _index_after(self, fragments: Fragments, index: int) -> int:
        """Return the index after the cursor's fragment if it is at `index`, else 0.

        Version 0.1.0 took an unterminated line of a TTY and the line after it, timestamp included, for one line.
        """
        text, stop = fragments.texts[index], index + 1
        while digest(text) != self._position.digest:
            if stop == len(fragments) or fragments.ending(stop - 1) != TAIL:
                return 0
            text += f"{fragments.stamps[stop]} {fragments.texts[stop]}"
            stop += 1
        return stop
