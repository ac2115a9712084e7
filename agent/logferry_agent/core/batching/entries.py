"""The forms in which a job's entries pass through the agent: chunk, batch, saved entries, preencoded batch.

All four hold many entries as parallel columns or as one encoded body. Nothing makes an object for one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from logferry_protocol.batch import decode_body
from logferry_protocol.limits import MAX_TIME_US, MIN_TIME_US

from ..redaction.redaction import NO_REDACTION, Redaction
from .cursor import skip_cursor, with_processing_state


@dataclass(slots=True)
class Chunk:
    """Consecutive entries of one job, in columns of equal length. A chunk has at least one entry.

    Attributes:
        times: microseconds since 1970, one for each entry.
        streams: one character for each entry, as on the wire (`o` `e`, `O` `E` continuation, `s` system event as JSON).
        texts: one text for each entry, at most 16,384 bytes in UTF-8, without line end.
        size: the approximate number of bytes in the texts. It bounds queues, so it need not be exact.
        cursor_at: returns the cursor after the i-th entry, with i from 1 to len(texts). A cursor has at most 1,024
            characters of printable ASCII, without quote and backslash. The pipeline calls it only where a batch or a
            write to the spool ends. The call may come later, and from another thread than the one that made the chunk.
    """

    times: list[int]
    streams: str
    texts: list[str]
    size: int
    cursor_at: Callable[[int], str]

    @property
    def count(self) -> int:
        """Return the number of entries."""
        return len(self.texts)

    @property
    def end(self) -> str:
        """Return the cursor after the last entry."""
        return self.cursor_at(len(self.texts))


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive entries of one job, encoded once. The batch gets its sequence number when it is first sent."""

    count: int
    start: int
    """Earliest time, in microseconds since 1970."""
    end: int
    """Latest time, in microseconds since 1970."""
    raw: int
    """UTF-8 bytes of the texts."""
    gaps: int
    """Number of gap entries in the batch."""
    cursor: str
    """The cursor after the last entry."""
    digest: str
    body: bytes


@dataclass(frozen=True, slots=True)
class SavedEntries:
    """A part of an open batch as the spool stores it and returns it after a crash."""

    times: list[int]
    streams: str
    texts: list[str]
    cursor: str
    """The cursor after the last entry."""
    cursors: list[str] | None = None
    """The cursor after each entry. Needed where processing made one entry of several lines, or none: skipping entries
    would then be wrong."""

    def to_chunk(self, before: str | None) -> Chunk:
        """Return the entries as a chunk again.

        Args:
            before: the cursor that precedes the first entry.
        """
        count = len(self.texts)

        def cursor_at(index: int) -> str:
            if index == count:
                return self.cursor
            return self.cursors[index - 1] if self.cursors is not None else skip_cursor(before, index)

        times = self.times
        if min(times) < MIN_TIME_US or max(times) > MAX_TIME_US:  # written by a version that did not check the range
            times = [min(max(time, MIN_TIME_US), MAX_TIME_US) for time in times]
        return Chunk(times, self.streams, self.texts, sum(map(len, self.texts)), cursor_at)


@dataclass(frozen=True, slots=True)
class PreencodedBatch:
    """Consecutive lines of one job that were encoded as a closed batch where they were read (see preencode.py).

    A source offers it instead of a chunk. It holds no system events.
    """

    batch: Batch
    before: Callable[[], str]
    """Returns the cursor before the first line."""
    redaction: Redaction = NO_REDACTION
    """The redaction that was applied to the lines where they were read."""
    hidden: Mapping[str, int] = field(default_factory=dict)
    """Number of secrets hidden, by the name of the pattern that found them."""
    originals: Sequence[tuple[int, str]] = ()
    """The lines that redaction changed, in their original form, each with its index. They are never written to disk."""

    @property
    def size(self) -> int:
        """Return the number of bytes held."""
        return len(self.batch.body)

    @property
    def count(self) -> int:
        """Return the number of entries."""
        return self.batch.count

    @property
    def end(self) -> str:
        """Return the cursor after the last entry."""
        return self.batch.cursor

    def decode(self, state: str = "") -> Chunk:
        """Return the original lines in columns, so that they can be processed one by one or in part.

        The chunk has no cursors of the source between its entries. A cursor there says "from before the first line,
        but skip this many entries".

        Args:
            state: the processing state before the first line (see processing.py).
        """
        columns = decode_body(self.batch.body)
        texts = list(columns.texts)
        for index, text in self.originals:
            texts[index] = text

        def cursor_at(count: int) -> str:
            return self.end if count == self.count else skip_cursor(with_processing_state(self.before(), state), count)

        return Chunk(list(columns.times), columns.streams, texts, self.batch.raw, cursor_at)
