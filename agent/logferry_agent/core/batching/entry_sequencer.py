"""Make entries, with their cursors, from one job's fragments and lifecycle entries, in the order of its log.

Every source uses the same sequencer. A lifecycle entry that is due (a start or an exit) takes its place between the
lines: a start before the first line of its run, an exit before the start that follows it, and both at the latest where
the log ends for now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from logferry_protocol.events import Gap, Notice, SystemEvent, encode_event

from ..parsing.fragments import EntryColumns, Fragments, StreamPositions, assemble, positions_after
from ..parsing.timestamps import entry_time
from ..redaction.redaction import Redaction
from .cursor import Cursor, FilePosition, LifecycleCheckpoint, encode
from .entries import Batch, Chunk, PreencodedBatch
from .lifecycle import LifecycleEntry, RunState, unrecorded_entries
from .preencode import PreencodedSlice

FilePositionAt = Callable[[int], FilePosition | None]
"""Returns the file position after fragment i of a read; for -1 the position before the first fragment."""


@dataclass(slots=True)
class _CursorSource:
    """Makes the cursors of one run of fragments, when one is asked for."""

    fragments: Fragments
    columns: EntryColumns
    before: StreamPositions
    file_position_at: FilePositionAt
    skipped: int
    """Entries of the first fragment that were made earlier and are not in the columns."""
    after: int
    notices: str

    def cursor(self, life: LifecycleCheckpoint, count: int) -> Cursor:
        """Return the cursor after `count` entries of the columns (0: before the first)."""
        columns, total = self.columns, len(self.columns.texts)
        if count >= total:
            last = len(self.fragments) - 1
            return Cursor(
                positions_after(self.fragments, self.before, last),
                self.file_position_at(last),
                life,
                notices=self.notices,
            )
        following = columns.origin(count)
        pieces = 0
        while pieces < count and columns.origin(count - 1 - pieces) == following:
            pieces += 1
        if pieces == count and following == columns.origin(0):
            pieces += self.skipped
        previous = following - 1 if pieces or not count else columns.origin(count - 1)
        return Cursor(
            positions_after(self.fragments, self.before, previous),
            self.file_position_at(previous),
            life,
            pieces,
            self.after,
            self.notices,
        )


class EntrySequencer:
    """Knows how far a job was read, which lifecycle event was recorded last, and which entries are due."""

    def __init__(self, cursor: Cursor) -> None:
        self.stream_positions = cursor.stream_positions
        self.file_position = cursor.file_position
        self.life = cursor.life
        self.pieces = cursor.pieces
        self.after = cursor.after
        self.notices = cursor.notices
        """See `Cursor.notices`."""
        self.due: list[LifecycleEntry] = []
        self._planned = cursor.life
        self._drained = False
        """Whether an exit was recorded at the end of the log, so that everything that follows belongs to the next
        run."""

    def learn(self, run_state: RunState, *, fresh: bool = False) -> bool:
        """Add the lifecycle entries of a run that are not recorded yet. Return whether there are any.

        Args:
            run_state: the container's newest run.
            fresh: the container's whole life was seen, so that its first start comes before everything in the log.
        """
        found = unrecorded_entries(self._planned, run_state)
        if not found:
            return False
        if (fresh and self._planned.kind == "n") or (self._drained and not self.due):
            first = found[0]
            found[0] = LifecycleEntry(first.time, first.event, first.checkpoint, 0)
        self._planned = found[-1].checkpoint
        self.due.extend(found)
        return True

    @property
    def between_runs(self) -> bool:
        """Return whether the last run is over and fully recorded, or no run began.

        Lines that come now belong to a start that is not known yet.
        """
        return not self.due and self.life.kind != "s"

    @property
    def awaits_exit(self) -> bool:
        """Return whether only the exit of a run remains to be recorded."""
        return bool(self.due) and self.due[0].checkpoint.kind == "x"

    def add_fragments(self, fragments: Fragments, file_position_at: FilePositionAt) -> list[Chunk]:
        """Return the chunks that these fragments make, with due lifecycle entries where they belong.

        Args:
            fragments: the next fragments of the log.
            file_position_at: gives the file position after a fragment. It may be called later.
        """
        self._drained = False
        before, skipped = self.stream_positions, self.pieces
        columns = assemble(fragments, before)
        if skipped and columns.texts:
            made = sum(
                1 for index in range(min(len(columns.texts), skipped)) if columns.origin(index) == columns.origin(0)
            )
            columns = EntryColumns(
                columns.times[made:],
                columns.streams[made:],
                columns.texts[made:],
                [columns.origin(index) for index in range(made, len(columns.texts))],
            )
        source = _CursorSource(fragments, columns, before, file_position_at, skipped, self.after, self.notices)
        self.stream_positions = positions_after(fragments, before, len(fragments) - 1)
        self.pieces = 0
        self.file_position = file_position_at(len(fragments) - 1)
        return list(self._chunks(source))

    def accepts(self, found: PreencodedSlice) -> bool:
        """Return whether no due entry belongs before or between the lines of a preencoded slice."""
        _, boundary = self._boundary()
        return boundary is None or found.end < boundary // 1_000

    def add_preencoded(
        self, found: PreencodedSlice, begin: FilePosition, end: FilePosition, redaction: Redaction
    ) -> PreencodedBatch:
        """Return the batch that a preencoded slice is offered as.

        Args:
            found: the slice. No line is open before it.
            begin: the file position before it.
            end: the file position after it.
            redaction: the redaction that was applied to its lines.
        """
        before = Cursor(self.stream_positions, begin, self.life, 0, self.after, self.notices)
        self._drained = False
        self.stream_positions, self.file_position, self.pieces = found.stream_positions, end, 0
        batch = Batch(
            count=found.count,
            start=found.start,
            end=found.end,
            raw=found.raw,
            gaps=0,
            cursor=encode(self.cursor),
            digest=found.digest,
            body=found.body,
        )
        return PreencodedBatch(batch, lambda: encode(before), redaction, found.hidden, found.originals)

    def take_due(self) -> list[Chunk]:
        """Return the first due entry at the end of the log as a chunk; an empty list when none is due."""
        if not self.due:
            return []
        chunk = self._event_chunk(self.due.pop(0), self.cursor)
        self._drained = self.life.kind == "x"
        return [chunk]

    def add_event(self, event: Gap | Notice, time: int) -> list[Chunk]:
        """Return the chunks for a gap or a notice at this position. A due first start comes before it.

        Args:
            event: the gap or notice.
            time: its time in microseconds since 1970.
        """
        chunks = []
        while self.due and self.due[0].boundary == 0:
            chunks.append(self._event_chunk(self.due.pop(0), self.cursor))
        return [*chunks, _system(time, event, self.cursor)]

    def move_to(self, file_position: FilePosition | None) -> None:
        """Continue from another file position without reading what is between."""
        self.file_position = file_position

    @property
    def cursor(self) -> Cursor:
        """Return the cursor after the last entry."""
        return Cursor(self.stream_positions, self.file_position, self.life, self.pieces, self.after, self.notices)

    def _event_chunk(self, entry: LifecycleEntry, cursor: Cursor) -> Chunk:
        self.life = entry.checkpoint
        return _system(entry.time // 1_000, entry.event, replace(cursor, life=entry.checkpoint))

    def _boundary(self) -> tuple[int, int | None]:
        """Return the index and the boundary of the first due entry that belongs between lines; (0, None) without one.

        The boundary is in nanoseconds since 1970.
        """
        return next(((n, entry.boundary) for n, entry in enumerate(self.due) if entry.boundary is not None), (0, None))

    def _chunks(self, source: _CursorSource) -> Iterable[Chunk]:
        total = len(source.columns.texts)
        start = 0
        while self.due:
            number, boundary = self._boundary()
            stop = None if boundary is None else _first_from(source.columns, start, boundary // 1_000)
            if stop is None:
                break
            if stop > start:
                yield _lines(source, start, stop, self.life)
            start = stop
            for entry in self.due[: number + 1]:
                yield self._event_chunk(entry, source.cursor(self.life, stop))
            del self.due[: number + 1]
        if start < total:
            yield _lines(source, start, total, self.life)


def _first_from(columns: EntryColumns, start: int, time: int) -> int | None:
    """Return the index of the first entry that begins a line at this time (microseconds since 1970) or later."""
    for index in range(start, len(columns.texts)):
        if columns.times[index] >= time and columns.streams[index] in "oe":
            return index
    return None


def _lines(source: _CursorSource, start: int, stop: int, life: LifecycleCheckpoint) -> Chunk:
    columns = source.columns
    whole = start == 0 and stop == len(columns.texts)
    texts = columns.texts if whole else columns.texts[start:stop]
    return Chunk(
        times=columns.times if whole else columns.times[start:stop],
        streams=columns.streams if whole else columns.streams[start:stop],
        texts=texts,
        size=sum(map(len, texts)),
        cursor_at=lambda count: encode(source.cursor(life, start + count)),
    )


def _system(time: int, event: SystemEvent, cursor: Cursor) -> Chunk:
    text = encode_event(event)
    encoded = encode(cursor)
    return Chunk([entry_time(time * 1_000)], "s", [text], len(text), lambda _: encoded)
