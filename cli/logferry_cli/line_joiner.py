"""Join entries into lines: a line that was cut into fragments comes out whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from logferry_protocol.batch import STREAM_OF, Columns, Stream
from logferry_protocol.limits import MIN_CONTINUED_BYTES

JOINED_CHARS: Final = 16 * 1024 * 1024
"""A longer line is handed on in parts, so that a program that never ends its line cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a stream, or a system event's JSON. `continued`: it continues what was handed out before."""

    sequence: int
    time: int
    stream: Stream
    text: str
    continued: bool = False


@dataclass(slots=True)
class _OpenLine:
    sequence: int
    time: int
    pieces: list[str]
    size: int
    continued: bool


class LineJoiner:
    """Joins the entries of one job into lines. Entries of both streams may be interleaved.

    An entry under `MIN_CONTINUED_BYTES` is never continued, so its line is complete at once. A longer one is held until
    its stream's next entry, `flush()`, or `max_chars`.
    """

    def __init__(self, max_chars: int = JOINED_CHARS) -> None:
        self._open: dict[Stream, _OpenLine] = {}
        self._handed_on: set[Stream] = set()
        self._max_chars = max_chars

    @property
    def holding(self) -> bool:
        """Whether a line waits for its next fragment."""
        return bool(self._open)

    def lines(self, first: int, columns: Columns) -> Iterator[Line]:
        """Yield the lines that these entries complete.

        Args:
            first: The sequence of the first entry.
            columns: The entries.
        """
        for sequence, time, character, text in columns.rows(first):
            stream = STREAM_OF[character]
            if stream == "system":
                yield Line(sequence, time, stream, text)
                continue
            goes_on = len(text) * 4 >= MIN_CONTINUED_BYTES and len(text.encode()) >= MIN_CONTINUED_BYTES
            if character in "oe":
                if self._open and (held := self._open.pop(stream, None)):
                    yield _whole(stream, held)
                self._handed_on.discard(stream)
                if not goes_on:
                    yield Line(sequence, time, stream, text)
                    continue
            held = self._open.get(stream) or _OpenLine(sequence, time, [], 0, stream in self._handed_on)
            # A fragment without its beginning (the reader started here, or it was lost) is not a line of its own
            # either.
            if character in "OE" and not held.pieces:
                held.continued = True
            held.pieces.append(text)
            held.size += len(text)
            self._open[stream] = held
            if not goes_on or held.size > self._max_chars:
                del self._open[stream]
                yield _whole(stream, held)
                if goes_on:
                    self._handed_on.add(stream)

    def flush(self) -> Iterator[Line]:
        """Yield the held lines as they are: nothing more comes, or nobody wants to wait for it."""
        for stream, held in sorted(self._open.items(), key=lambda item: item[1].sequence):
            self._handed_on.add(stream)
            yield _whole(stream, held)
        self._open.clear()


def _whole(stream: Stream, held: _OpenLine) -> Line:
    return Line(held.sequence, held.time, stream, "".join(held.pieces), held.continued)
