"""Entries joined to lines: a line that was cut into pieces is searched as one, wherever batches and pages cut it.

A line belongs to the range of sequences in which it begins. Its pieces are read beyond the range's end, and pieces at
the range's beginning that continue an earlier line are left to the range before.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from logferry_protocol.batch import CONTINUATIONS, STREAM_OF, Columns, Stream, decode_body
from logferry_protocol.errors import BatchError
from logferry_protocol.limits import MIN_CONTINUED_BYTES

LINE_CHARS: Final = 1_048_576
"""A longer line is several: a program that never ends its line must not fill the memory."""

OVERLAP_CHARS: Final = 65_536
"""So many characters of an endless line are looked at again with what follows: a match up to this long is found."""

LINE_SPAN: Final = 2_000
"""A line whose pieces lie over more entries is several, too: those of the other streams wait until it is whole."""

Batch = tuple[int, int, int, bytes]
"""First sequence, entries, raw bytes and body."""


class Line:
    """A line of a stream, a part of an endless one, or a system event."""

    __slots__ = ("before", "chars", "goes_on", "open", "pieces", "sequences", "stream", "time")

    def __init__(self, sequence: int, time: int, stream: Stream, text: str, before: str = "", *, is_open: bool = False):
        self.sequences = [sequence]
        self.pieces = [text]
        self.time = time
        """Microseconds; of the first piece."""
        self.stream: Stream = stream
        self.before = before
        """The end of what stands before it, where it is a later part of an endless line."""
        self.chars = len(text)
        self.open = is_open
        """A piece may follow."""
        self.goes_on = False
        """The next part of the endless line follows."""

    @property
    def sequence(self) -> int:
        """Of its first piece."""
        return self.sequences[0]

    @property
    def text(self) -> str:
        """The pieces, with nothing between."""
        return self.pieces[0] if len(self.pieces) == 1 else "".join(self.pieces)

    def add(self, sequence: int, text: str, *, is_open: bool) -> None:
        """Join the next piece."""
        self.sequences.append(sequence)
        self.pieces.append(text)
        self.chars += len(text)
        self.open = is_open

    def entry_at(self, offset: int) -> int:
        """Return the sequence of the piece that holds a character of the text."""
        for sequence, piece in zip(self.sequences, self.pieces, strict=True):
            if offset < len(piece):
                return sequence
            offset -= len(piece)
        return self.sequences[-1]

    def tail(self) -> str:
        """Return the last `OVERLAP_CHARS` characters, with what stands before it."""
        return (self.before + self.text)[-OVERLAP_CHARS:]


class LineAssembler:
    """The lines that begin after a sequence, in the order in which they begin."""

    def __init__(self, after: int, earlier: Callable[[int], Iterable[Batch]]) -> None:
        """Args:
        after: lines begin after this sequence.
        earlier: the batches with entries before a sequence, descending; asked where the range begins with a piece.
        """
        self._after, self._earlier = after, earlier
        self._held: deque[Line] = deque()
        self._open: dict[Stream, Line] = {}
        # Streams of which it is known what a piece continues.
        self._known: set[Stream] = {"stdout", "stderr"} if after == 0 else set()
        self.read = after
        """The last sequence that was added."""

    @property
    def resume(self) -> int:
        """The sequence after which a later search finds all that was not given yet."""
        return self._held[0].sequence - 1 if self._held else self.read

    def add(self, first: int, columns: Columns) -> Iterator[Line]:
        """Take a batch's entries and give the lines that they complete."""
        for sequence, time, character, text in columns.rows(first):
            if sequence <= self._after:
                continue
            if sequence != self.read + 1:
                self._pass_hole()
            self.read = sequence
            stream = STREAM_OF[character]
            is_open = len(text) * 4 >= MIN_CONTINUED_BYTES and len(text.encode()) >= MIN_CONTINUED_BYTES
            if not is_open and not self._open and character not in CONTINUATIONS:
                # Nearly all are like this.
                self._known.add(stream)
                yield from self._complete()
                yield Line(sequence, time, stream, text)
                continue
            self._take(sequence, time, character, text, is_open=is_open and stream != "system")
            yield from self._complete()

    def skip(self, first: int, count: int) -> Iterator[Line]:
        """Pass over entries that cannot be read, and give the lines that end there."""
        self._pass_hole()
        self.read = max(self.read, first + count - 1)
        yield from self._complete()

    def end(self) -> Iterator[Line]:
        """Give what is left: nothing more is stored."""
        self._close_all()
        yield from self._complete()

    def _complete(self) -> Iterator[Line]:
        while self._held and not self._held[0].open:
            yield self._held.popleft()

    def _take(self, sequence: int, time: int, character: str, text: str, *, is_open: bool) -> None:
        for line in self._open.values():
            line.open = line.open and sequence - line.sequence < LINE_SPAN
        stream = STREAM_OF[character]
        before = ""
        if stream != "system":
            if character in CONTINUATIONS and stream not in self._known:
                before = self._look_back(stream, sequence)
            self._known.add(stream)
            continued = self._open.pop(stream, None)
            if continued is not None and character in CONTINUATIONS:
                if continued.open and continued.chars < LINE_CHARS:
                    continued.add(sequence, text, is_open=is_open)
                    if is_open:
                        self._open[stream] = continued
                    return
                continued.goes_on, before = True, continued.tail()
            if continued is not None:
                continued.open = False
        begun = Line(sequence, time, stream, text, before, is_open=is_open)
        self._held.append(begun)
        if is_open:
            self._open[stream] = begun

    def _pass_hole(self) -> None:
        """What is kept no more ends every line."""
        self._close_all()
        self._known = {"stdout", "stderr"}

    def _close_all(self) -> None:
        for line in self._open.values():
            line.open = False
        self._open.clear()

    def _look_back(self, stream: Stream, sequence: int) -> str:
        """Find the line that a piece at the range's beginning continues: it is not given, but its later parts are.

        Returns:
            The end of what stands before the piece, where the line is an endless one and a part begins here.
        """
        pieces: list[tuple[int, int, str]] = []
        chars = 0
        for at, time, character, text in self._rows_back():
            if chars >= LINE_CHARS or sequence - at >= LINE_SPAN:
                return "".join(text for _, _, text in reversed(pieces))[-OVERLAP_CHARS:]
            if STREAM_OF[character] != stream:
                continue
            if len(text.encode()) < MIN_CONTINUED_BYTES:
                break
            pieces.append((at, time, text))
            chars += len(text)
            if character not in CONTINUATIONS:
                break
        if pieces:
            at, time, text = pieces.pop()
            line = Line(at, time, stream, text, is_open=True)
            for at, _, text in reversed(pieces):
                line.add(at, text, is_open=True)
            self._open[stream] = line
        return ""

    def _rows_back(self) -> Iterator[tuple[int, int, str, str]]:
        """The entries up to `after`, descending, as far as they are one run."""
        expected = self._after
        for first, count, _raw, body in self._earlier(self._after + 1):
            if first + count - 1 < expected:
                return
            try:
                columns = decode_body(body)
            except BatchError:
                return
            for row in reversed(list(columns.rows(first))):
                if row[0] <= expected:
                    yield row
            expected = first - 1
