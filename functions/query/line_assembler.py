"""Joins entries to lines, so that a line in several fragments is searched as one, wherever batches and pages split it.

A line belongs to the range of sequences in which it begins. Its fragments are read beyond the end of the range.
Fragments at the start of the range that continue an earlier line belong to the range before.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from logferry_protocol.batch import CONTINUATIONS, STREAM_OF, Columns, Stream, decode_body
from logferry_protocol.errors import BatchError
from logferry_protocol.limits import MIN_CONTINUED_BYTES

LINE_CHARS: Final = 1_048_576
"""A longer line is split: a program that never ends its line must not fill the memory."""

OVERLAP_CHARS: Final = 65_536
"""Characters of a split line that are searched again with the next part. A match up to this long is found."""

LINE_SPAN: Final = 2_000
"""A line whose fragments span more entries is split, too: lines of other streams wait until it is whole."""

Batch = tuple[int, int, int, bytes]
"""First sequence, number of entries, raw bytes and body."""


class Line:
    """A line of a stream, a part of a split line, or a system event."""

    __slots__ = ("before", "chars", "continues", "fragments", "open", "sequences", "stream", "time")

    def __init__(self, sequence: int, time: int, stream: Stream, text: str, before: str = "", *, is_open: bool = False):
        self.sequences = [sequence]
        self.fragments = [text]
        self.time = time
        """Microseconds; the time of the first fragment."""
        self.stream: Stream = stream
        self.before = before
        """The end of the text before it, if it is a later part of a split line."""
        self.chars = len(text)
        self.open = is_open
        """Whether a fragment may follow."""
        self.continues = False
        """Whether the next part of the split line follows."""

    @property
    def sequence(self) -> int:
        """Return the sequence of the first fragment."""
        return self.sequences[0]

    @property
    def text(self) -> str:
        """Return the fragments, joined without a separator."""
        return self.fragments[0] if len(self.fragments) == 1 else "".join(self.fragments)

    def add(self, sequence: int, text: str, *, is_open: bool) -> None:
        """Add the next fragment."""
        self.sequences.append(sequence)
        self.fragments.append(text)
        self.chars += len(text)
        self.open = is_open

    def entry_at(self, offset: int) -> int:
        """Return the sequence of the fragment that holds a character of the text."""
        for sequence, fragment in zip(self.sequences, self.fragments, strict=True):
            if offset < len(fragment):
                return sequence
            offset -= len(fragment)
        return self.sequences[-1]

    def tail(self) -> str:
        """Return the last `OVERLAP_CHARS` characters, with the text before the part."""
        return (self.before + self.text)[-OVERLAP_CHARS:]


class LineAssembler:
    """Yields the lines that begin after a sequence, in the order in which they begin."""

    def __init__(self, after: int, earlier: Callable[[int], Iterable[Batch]]) -> None:
        """Start after a sequence.

        Args:
            after: lines begin after this sequence.
            earlier: returns the batches with entries before a sequence, descending. It is called if the range starts
                with a fragment of an earlier line.
        """
        self._after, self._earlier = after, earlier
        self._held: deque[Line] = deque()
        self._open: dict[Stream, Line] = {}
        # The streams for which it is known what a fragment continues.
        self._known: set[Stream] = {"stdout", "stderr"} if after == 0 else set()
        self.read = after
        """The last sequence that was added."""

    @property
    def resume(self) -> int:
        """Return the sequence after which a later search finds everything that was not yielded yet."""
        return self._held[0].sequence - 1 if self._held else self.read

    def add(self, first: int, columns: Columns) -> Iterator[Line]:
        """Add the entries of a batch, and yield the lines that they complete."""
        for sequence, time, character, text in columns.rows(first):
            if sequence <= self._after:
                continue
            if sequence != self.read + 1:
                self._end_at_hole()
            self.read = sequence
            stream = STREAM_OF[character]
            is_open = len(text) * 4 >= MIN_CONTINUED_BYTES and len(text.encode()) >= MIN_CONTINUED_BYTES
            if not is_open and not self._open and character not in CONTINUATIONS:
                # Nearly all entries take this branch.
                self._known.add(stream)
                yield from self._complete()
                yield Line(sequence, time, stream, text)
                continue
            self._take(sequence, time, character, text, is_open=is_open and stream != "system")
            yield from self._complete()

    def skip(self, first: int, count: int) -> Iterator[Line]:
        """Skip entries that cannot be read, and yield the lines that end there."""
        self._end_at_hole()
        self.read = max(self.read, first + count - 1)
        yield from self._complete()

    def end(self) -> Iterator[Line]:
        """Yield the remaining lines: nothing more is stored."""
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
                before = self._find_continued_line(stream, sequence)
            self._known.add(stream)
            continued = self._open.pop(stream, None)
            if continued is not None and character in CONTINUATIONS:
                if continued.open and continued.chars < LINE_CHARS:
                    continued.add(sequence, text, is_open=is_open)
                    if is_open:
                        self._open[stream] = continued
                    return
                continued.continues, before = True, continued.tail()
            if continued is not None:
                continued.open = False
        begun = Line(sequence, time, stream, text, before, is_open=is_open)
        self._held.append(begun)
        if is_open:
            self._open[stream] = begun

    def _end_at_hole(self) -> None:
        """End every line at entries that are not kept any more."""
        self._close_all()
        self._known = {"stdout", "stderr"}

    def _close_all(self) -> None:
        for line in self._open.values():
            line.open = False
        self._open.clear()

    def _find_continued_line(self, stream: Stream, sequence: int) -> str:
        """Find the line that a fragment at the start of the range continues.

        The line itself is not yielded, but later parts of it are.

        Returns:
            The end of the text before the fragment, if the line is so long that it is split here.
        """
        fragments: list[tuple[int, int, str]] = []
        chars = 0
        for at, time, character, text in self._earlier_rows():
            if chars >= LINE_CHARS or sequence - at >= LINE_SPAN:
                return "".join(text for _, _, text in reversed(fragments))[-OVERLAP_CHARS:]
            if STREAM_OF[character] != stream:
                continue
            if len(text.encode()) < MIN_CONTINUED_BYTES:
                break
            fragments.append((at, time, text))
            chars += len(text)
            if character not in CONTINUATIONS:
                break
        if fragments:
            at, time, text = fragments.pop()
            line = Line(at, time, stream, text, is_open=True)
            for at, _, text in reversed(fragments):
                line.add(at, text, is_open=True)
            self._open[stream] = line
        return ""

    def _earlier_rows(self) -> Iterator[tuple[int, int, str, str]]:
        """Yield the entries up to `after`, descending, as far as there is no hole."""
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
