"""One job's way through its log: fragments and milestones go in, chunks of entries with their cursors come out.

The same for every source. A milestone that is due (a start or an exit to be told) takes its place between the lines:
a start before the first line of its run, an exit before the start that follows it, and both at the latest where the
log ends for now.
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
"""The place behind fragment i of a segment; -1: the place before it."""


@dataclass(slots=True)
class _CursorSource:
    """What the cursors of one run of fragments are made from, when one is asked for."""

    fragments: Fragments
    columns: EntryColumns
    before: StreamPositions
    file_position_at: FilePositionAt
    skipped: int
    """Entries of the first fragment that were made earlier and left out of the columns."""
    after: int
    notices: str

    def cursor(self, life: LifecycleCheckpoint, count: int) -> Cursor:
        """The cursor after `count` entries of the columns (0: before the first)."""
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
    """Where a job's reading is, what was recorded of its life, and what is still to be told."""

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
        """Whether an exit was told where the log ended: all that follows belongs to the next run."""

    def learn(self, run_state: RunState, *, fresh: bool = False) -> bool:
        """Take facts into account; True when there is something new to tell.

        fresh: the container's whole life was seen, so that a first start comes before everything in the log.
        """
        found = unrecorded_entries(self._planned, run_state)
        if not found:
            return False
        if (fresh and self._planned.kind == "n") or (self._drained and not self.due):
            first = found[0]
            found[0] = LifecycleEntry(first.time, first.event, first.mark, 0)
        self._planned = found[-1].mark
        self.due.extend(found)
        return True

    @property
    def between_runs(self) -> bool:
        """Whether all is told of a run that is over (or none began): lines that come now belong to a start not yet
        known."""
        return not self.due and self.life.kind != "s"

    @property
    def awaits_exit(self) -> bool:
        """Whether a run began of which all was told but its end."""
        return bool(self.due) and self.due[0].mark.kind == "x"

    def add_fragments(self, fragments: Fragments, file_position_at: FilePositionAt) -> list[Chunk]:
        """Return the chunks that these fragments make, with due lifecycle entries where they belong.

        `file_position_at` may be called later.
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
        segment = _CursorSource(fragments, columns, before, file_position_at, skipped, self.after, self.notices)
        self.stream_positions = positions_after(fragments, before, len(fragments) - 1)
        self.pieces = 0
        self.file_position = file_position_at(len(fragments) - 1)
        return list(self._chunks(segment))

    def accepts(self, pressed: PreencodedSlice) -> bool:
        """Whether nothing that is due belongs between, or before, the lines of a batch from the press."""
        _, boundary = self._boundary()
        return boundary is None or pressed.end < boundary // 1_000

    def add_preencoded(
        self, pressed: PreencodedSlice, begin: FilePosition, end: FilePosition, redaction: Redaction
    ) -> PreencodedBatch:
        """What a batch from the press is offered as; it begins and ends at these places, and no line is open.

        redaction: what the press was asked to hide.
        """
        before = Cursor(self.stream_positions, begin, self.life, 0, self.after, self.notices)
        self._drained = False
        self.stream_positions, self.file_position, self.pieces = pressed.stream_positions, end, 0
        batch = Batch(
            count=pressed.count,
            start=pressed.start,
            end=pressed.end,
            raw=pressed.raw,
            gaps=0,
            cursor=encode(self.cursor),
            digest=pressed.digest,
            body=pressed.body,
        )
        return PreencodedBatch(batch, lambda: encode(before), redaction, pressed.hidden, pressed.originals)

    def take_due(self) -> list[Chunk]:
        """The first of what is due where the log ends for now; none when nothing is."""
        if not self.due:
            return []
        chunk = self._event_chunk(self.due.pop(0), self.cursor)
        self._drained = self.life.kind == "x"
        return [chunk]

    def add_event(self, event: Gap | Notice, time: int) -> list[Chunk]:
        """A gap or notice here; `time` in microseconds. A first start comes before it."""
        chunks = []
        while self.due and self.due[0].boundary == 0:
            chunks.append(self._event_chunk(self.due.pop(0), self.cursor))
        return [*chunks, _system(time, event, self.cursor)]

    def move_to(self, file_position: FilePosition | None) -> None:
        """Go on from another place without reading what is between."""
        self.file_position = file_position

    @property
    def cursor(self) -> Cursor:
        """The cursor here."""
        return Cursor(self.stream_positions, self.file_position, self.life, self.pieces, self.after, self.notices)

    def _event_chunk(self, milestone: LifecycleEntry, cursor: Cursor) -> Chunk:
        self.life = milestone.mark
        return _system(milestone.time // 1_000, milestone.event, replace(cursor, life=milestone.mark))

    def _boundary(self) -> tuple[int, int | None]:
        """Which of what is due is the first that has its place between lines, and from which time on (nanoseconds)."""
        return next(((n, m.boundary) for n, m in enumerate(self.due) if m.boundary is not None), (0, None))

    def _chunks(self, segment: _CursorSource) -> Iterable[Chunk]:
        total = len(segment.columns.texts)
        start = 0
        while self.due:
            number, boundary = self._boundary()
            stop = None if boundary is None else _first_from(segment.columns, start, boundary // 1_000)
            if stop is None:
                break
            if stop > start:
                yield _lines(segment, start, stop, self.life)
            start = stop
            for milestone in self.due[: number + 1]:
                yield self._event_chunk(milestone, segment.cursor(self.life, stop))
            del self.due[: number + 1]
        if start < total:
            yield _lines(segment, start, total, self.life)


def _first_from(columns: EntryColumns, start: int, time: int) -> int | None:
    """The first entry that begins a line at this time or later (microseconds)."""
    for index in range(start, len(columns.texts)):
        if columns.times[index] >= time and columns.streams[index] in "oe":
            return index
    return None


def _lines(segment: _CursorSource, start: int, stop: int, life: LifecycleCheckpoint) -> Chunk:
    columns = segment.columns
    whole = start == 0 and stop == len(columns.texts)
    texts = columns.texts if whole else columns.texts[start:stop]
    return Chunk(
        times=columns.times if whole else columns.times[start:stop],
        streams=columns.streams if whole else columns.streams[start:stop],
        texts=texts,
        size=sum(map(len, texts)),
        cursor_at=lambda count: encode(segment.cursor(life, start + count)),
    )


def _system(time: int, event: SystemEvent, cursor: Cursor) -> Chunk:
    text = encode_event(event)
    encoded = encode(cursor)
    return Chunk([entry_time(time * 1_000)], "s", [text], len(text), lambda _: encoded)
