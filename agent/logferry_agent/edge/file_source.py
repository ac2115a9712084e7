"""The file source: one container's json-file log, read from the disk through every rotation, truncation and removal.

Theory of operation. `files.py` holds the links of the chain. After the last known link, the next ones are found by
looking for it among the files on disk and opening everything younger; that happens as soon as a rotation is noticed
and again at every end of a link. Rotations are also counted, where the system tells of every new file, so that it is
known for certain whether a link came and went unseen; a missing link becomes a gap entry.

A file may also be cut under the reader (engines before 23.0 with max-file=1, `copytruncate`). So after every read the
head of the file is compared: as long as the first record is the same, what was read is what was written.
"""

from __future__ import annotations

import os
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from logferry_protocol.events import Gap, GapReason
from logferry_protocol.job import SourceName

from ..core.batching.cursor import FilePosition
from ..core.batching.entries import Chunk, PreencodedBatch
from ..core.batching.entry_sequencer import EntrySequencer
from ..core.batching.preencode import FIRST_SLICE_BYTES, PreencodeRequest
from ..core.parsing.fragments import Fragments, StreamPosition, digest
from ..core.parsing.jsonfile import (
    CorruptBytes,
    Records,
    count_pieces,
    find_end_until,
    find_position,
    find_start_from,
    parse,
)
from ..core.parsing.timestamps import entry_time, nanoseconds
from ..core.redaction.redaction import NO_REDACTION, Redaction
from .file_chain import LogFile, close_all, is_same_file, open_chain
from .preencode_pool import PreencodePool

_RECORD_BYTES: Final = 4 * 1024 * 1024
"""Without a newline for so long it is no json-file (a 16 KiB piece of control characters takes 98,000 bytes)."""
_SEARCH_BYTES: Final = 1024 * 1024
_LITTLE_BYTES: Final = 4_096
_UNPRESSED_BYTES: Final = 512 * 1024
"""After a stretch so much is read as usual: what was not plain in it is behind then."""
_BEHIND_BYTES: Final = 131_072
"""A record is not longer than this."""
_UNSEEN: Final = "log file(s) came and went before they could be opened"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)


@dataclass(slots=True)
class _Loss:
    """A gap whose end is not known before something follows it."""

    reason: GapReason
    start: int | None
    count: int | None = None
    size: int | None = None
    detail: str = ""


@dataclass(slots=True)
class _Missing:
    """Stands in the chain where a link should be."""

    detail: str


class FileSource:
    """One container's json-file log. Not thread-safe."""

    name: SourceName = "file"

    def __init__(
        self,
        path: Path,
        sequencer: EntrySequencer,
        *,
        since: int = 0,
        max_size: int = 0,
        pool: PreencodePool | None = None,
        redaction: Redaction | None = NO_REDACTION,
    ) -> None:
        """Read the log at `path` on from where `sequencer` is.

        since: without a cursor, begin with the first record of this time (nanoseconds since 1970).
        max_size: the size from which on the engine rotates the file, 0 where it never does.
        pool: for what waits to be read by the megabyte.
        redaction: what the pool hides in it; None: its lines are processed one after the other, without the pool.
        """
        self.sequencer = sequencer
        self.path = path
        self.gone = False
        """Set by the owner: the container was removed, no file will come any more."""
        self.count_files: Callable[[], int | None] = lambda: None
        """How many new files came under the log's name since some moment, up to now; None: nobody counts."""
        self.taken = 0
        """Bytes that the last read took."""
        self._counted_at_newest: int | None = None
        """What was counted when the newest link was opened."""
        self._since = since
        self._max_size = max_size
        self._links: deque[LogFile | _Missing] = deque()
        self._chunks: deque[Chunk | PreencodedBatch] = deque()
        self._pool = pool
        self._redaction = redaction
        self._slice = FIRST_SLICE_BYTES
        """What made a batch, the last time."""
        self._loss: _Loss | None = None
        self._last_time: int | None = None
        self._placed = False
        self._held = False
        """Whether there was ever a file of it."""
        self.counted_from_birth = False
        """Whether `count_files` counts every file that ever was: then one that came and went before the first could be
        opened is known to be missing."""

    # --- the chain ---

    def runs(self, running: bool) -> None:
        """Whether the container runs; a file is read the same either way."""

    @property
    def untouched(self) -> bool:
        """Whether nothing was read yet, only held."""
        return not self._placed

    def begin(
        self,
        sequencer: EntrySequencer,
        *,
        since: int,
        max_size: int,
        redaction: Redaction | None = NO_REDACTION,
    ) -> None:
        """Read what was held so far as the constructor would."""
        self.sequencer, self._since, self._max_size, self._redaction = sequencer, since, max_size, redaction

    def uncounted(self) -> None:
        """The count of new files is not to be trusted up to now."""
        self._counted_at_newest = None
        self.counted_from_birth = False

    def open(self) -> bool:
        """Find and hold what there is of the log, again after each rotation; True when there is something.

        Raises:
            PermissionError: it may not be read.
        """
        newest = self._links[-1] if self._links else None
        try:
            if isinstance(newest, LogFile) and self.path.stat().st_ino == newest.inode:
                return True
        except FileNotFoundError:
            return True
        chain, counted = self._snapshot()
        if chain and isinstance(newest, LogFile):
            self._extend(chain, newest, counted)
        elif chain:
            if not self._held and self.counted_from_birth and counted is not None and counted > len(chain):
                self._links.append(_Missing(f"{counted - len(chain)} {_UNSEEN}"))
            self._links.extend(chain)
        if chain:
            self._held = True
            self._counted_at_newest = counted
        return bool(self._links)

    def _snapshot(self) -> tuple[list[LogFile], int | None]:
        """The chain on disk and the count of files that goes with it: no rotation came in between."""
        while True:
            before = self.count_files()
            chain = open_chain(self.path)
            after = self.count_files()
            if before == after:
                return chain, after
            close_all(chain)

    def _extend(self, chain: list[LogFile], newest: LogFile, counted: int | None) -> None:
        known = next((number for number, link in enumerate(chain) if is_same_file(link, newest)), None)
        if known is not None:
            close_all(chain[: known + 1])
            self._links.extend(chain[known + 1 :])
            return
        # The newest known link is no longer on the disk. By the count it is known whether all that came after it are.
        at_newest = self._counted_at_newest
        came = counted - at_newest if counted is not None and at_newest is not None else None
        if came is not None and 0 < came <= len(chain):
            close_all(chain[: len(chain) - came])
            self._links.extend(chain[len(chain) - came :])
            return
        missing = came - len(chain) if came is not None and came > len(chain) else None
        self._links.append(_Missing(f"perhaps {_UNSEEN}" if missing is None else f"{missing} {_UNSEEN}"))
        self._links.extend(chain)

    # --- where to begin ---

    def _find_place(self) -> None:
        self._placed = True
        links = [link for link in self._links if isinstance(link, LogFile)]
        stream_positions = self.sequencer.stream_positions
        file_position = self.sequencer.file_position
        for link in links:
            link.head_holds()
        if file_position is not None and file_position.head:
            for link in links:
                if link.head == file_position.head:
                    self._begin_at_place(link, file_position.offset)
                    return
        if stream_positions.read:
            found = self._find_marks(links)
            if found is not None:
                self._begin_at(*found)
                return
            self._last_time = entry_time(stream_positions.latest)
            self._lose("rotated", detail="where reading had come to is no longer in the log")
        elif file_position is None and self.sequencer.after:
            self._begin_behind_time(links, self.sequencer.after)
        elif file_position is None and self._since:
            self._begin_at_time(links)

    def _begin_at(self, link: LogFile, offset: int) -> None:
        while self._links[0] is not link:
            dropped = self._links.popleft()
            if isinstance(dropped, LogFile):
                dropped.close()
        if link.packed is not None:
            while link.offset < offset:
                skipped = link.read(min(_SEARCH_BYTES, offset - link.offset))
                if not skipped:
                    break
                link.advance(len(skipped))
        else:
            link.offset = offset

    def _begin_at_place(self, link: LogFile, offset: int) -> None:
        """Where the cursor says, if what was read last is still there; the host may have lost the end of its files."""
        if link.packed is not None or self._is_behind_marks(link, offset):
            self._begin_at(link, offset)
            return
        self._last_time = entry_time(self.sequencer.stream_positions.latest)
        scan = link.reopened()
        found = _search_time(scan, self.sequencer.stream_positions.latest + 1_000, bisect=False)
        scan.close()
        self._begin_at(link, link.size if found is None else found)
        self._lose("truncated", detail="the file was cut behind where reading had come to")

    def _is_behind_marks(self, link: LogFile, offset: int) -> bool:
        """Whether the record that ends here is the last one read (or is none: reading went on behind damage)."""
        if link.size < offset:
            return False
        data = os.pread(link.fd, min(offset, _BEHIND_BYTES), max(0, offset - _BEHIND_BYTES))
        if not data:
            return True
        last = data[data.rfind(b"\n", 0, len(data) - 1) + 1 :]
        (part, *_) = reversed(parse(last)) if last.endswith(b"\n") else [CorruptBytes(len(last))]
        if isinstance(part, CorruptBytes):
            return last.endswith(b"\n") or len(last) >= _BEHIND_BYTES
        mark = self.sequencer.stream_positions.of(part.fragments.streams)
        return nanoseconds(part.fragments.stamps[0]) == mark.stamp and digest(part.fragments.texts[0]) == mark.digest

    def _find_marks(self, links: list[LogFile]) -> tuple[LogFile, int] | None:
        """Begin behind the fragment that was read last.

        Where an older cursor does not say which that is, begin behind the later of the two streams' marks in the log.
        """
        stream_positions = self.sequencer.stream_positions
        found: tuple[LogFile, int] | None = None
        for stream, mark in (("o", stream_positions.out), ("e", stream_positions.err)):
            if not mark.read or stream_positions.last not in {"", stream}:
                continue
            for number in range(len(links) - 1, -1, -1):
                scan = links[number].reopened()
                offset = _search(scan, stream, mark)
                scan.close()
                if offset is not None:
                    if found is None or (number, offset) > (links.index(found[0]), found[1]):
                        found = (links[number], offset)
                    break
        return found

    def _begin_behind_time(self, links: list[LogFile], time_ns: int) -> None:
        """Behind the last record of this time or earlier, wherever clocks stepped: what was read is before that."""
        for link in reversed(links):
            scan = link.reopened()
            offset = _search_end(scan, time_ns)
            scan.close()
            if offset is not None:
                self._begin_at(link, offset)
                return

    def _begin_at_time(self, links: list[LogFile]) -> None:
        for link in links:
            scan = link.reopened()
            offset = _search_time(scan, self._since)
            scan.close()
            if offset is not None:
                self._begin_at(link, offset)
                return
        last = links[-1]
        self._begin_at(last, last.size)

    # --- reading ---

    @property
    def ended(self) -> bool:
        """True when the container is gone and all was read."""
        return self.gone and not self._chunks and self.unread == 0

    @property
    def unread(self) -> int:
        """Bytes in the files held that were not read."""
        return sum(link.unread for link in self._links if isinstance(link, LogFile))

    @property
    def caught_up(self) -> bool:
        """Whether next to nothing is left to be read, and nothing to be handed over."""
        return not self._chunks and self.unread < _LITTLE_BYTES

    @property
    def kept_alive(self) -> int:
        """Bytes not read of files that exist only because they are held here."""
        return sum(link.unread for link in self._links if isinstance(link, LogFile) and link.deleted)

    def read(self, limit_bytes: int) -> Chunk | PreencodedBatch | None:
        """Read on; None when all that is there was read."""
        if self._chunks:
            return self._chunks.popleft()
        if not self.open():
            return None
        if not self._placed:
            self._find_place()
        while not self._chunks:
            if not self._read_some(limit_bytes):
                return None
        return self._chunks.popleft()

    def at_end(self) -> Chunk | PreencodedBatch | None:
        """What is due where the log ends for now, one chunk after the other."""
        if not self._chunks and (self.gone or self.sequencer.awaits_exit):
            self._tell_last_loss()
        if not self._chunks:
            self._chunks.extend(self.sequencer.take_due())
        return self._chunks.popleft() if self._chunks else None

    def _tell_last_loss(self) -> None:
        """Nothing follows any more: what is missing at the end is told now, before the end of the run itself."""
        if not self._held and self.sequencer.awaits_exit:
            self._held = True  # once
            self._lose("removed", detail="removed before its log could be opened")
        if self._loss is not None:
            loss, self._loss = self._loss, None
            gap = Gap(reason=loss.reason, start=loss.start, count=loss.count, bytes=loss.size, detail=loss.detail)
            self._chunks.extend(self.sequencer.add_event(gap, loss.start or time.time_ns() // 1_000))

    def drop_oldest(self) -> int:
        """Give up the oldest file that was deleted; how many unread bytes that frees."""
        for link in list(self._links):
            if isinstance(link, LogFile) and link.deleted and link.unread and link is not self._links[-1]:
                size = link.unread
                self._lose("rotated", size=size, detail="too many bytes waited in deleted log files")
                self._give_up_stretch()
                link.close()
                self._links.remove(link)
                return size
        return 0

    def close(self) -> None:
        """Let all files go."""
        self._give_up_stretch()
        close_all([link for link in self._links if isinstance(link, LogFile)])
        self._links.clear()

    def _read_some(self, limit_bytes: int) -> bool:  # noqa: PLR0911
        """Read once; False when there is nothing new."""
        link = self._links[0]
        if isinstance(link, _Missing):
            self._lose("rotated", detail=link.detail)
            self._links.popleft()
            return bool(self._links)
        final = len(self._links) > 1 or self.gone
        try:
            if link.packed is None and link.size < link.offset:
                return self._cut(link)
            if self._read_pressed(link):
                return True
            data = link.read(limit_bytes)
            if data and data.rfind(b"\n") < 0 and len(data) >= limit_bytes:
                data = link.read(_RECORD_BYTES)
            whole = data.rfind(b"\n") + 1
            if whole == 0 and data and (final or len(data) >= _RECORD_BYTES):
                # Half a record for ever: what follows begins with the next newline, if there is one.
                self._spoil(link, len(data))
                return True
            if whole == 0:
                return self._next(link)
            if not link.head_holds():
                return self._cut(link)
        except _UNREADABLE as error:
            self._give_up_stretch()
            self._lose("corrupt", detail=f"a log file cannot be read: {error}"[:200])
            link.finish()
            return self._next(link)
        self._take(link, data[:whole])
        return True

    def _read_pressed(self, link: LogFile) -> bool:
        """Read batches from the pool, what is there of them; False where ordinary reading has to go on."""
        pool = self._pool
        if pool is None or not (pool.owner is link or self._order(link, pool)):
            return False
        found = pool.take()
        stop = link.offset + sum(pressed.size for pressed in found)
        if pool.owner is None:
            link.unpressed_until = stop + (0 if pool.plain else _UNPRESSED_BYTES)
        if not link.head_holds():
            return self._cut(link)
        if found and not link.holds(found[-1].tag, stop):
            self._give_up_stretch()  # its end was cut off: what is there now is read as usual
            return False
        self.taken = 0
        for pressed in found:
            end = link.offset + pressed.size
            if not self.sequencer.accepts(pressed):
                self._give_up_stretch()
                link.unpressed_until = end
                break
            file_position = FilePosition(link.inode, link.offset, link.head)
            redaction = self._redaction or NO_REDACTION
            self._chunks.append(
                self.sequencer.add_preencoded(pressed, file_position, replace(file_position, offset=end), redaction)
            )
            self._last_time, self._slice = pressed.last, pressed.size
            self.taken += pressed.size
            link.advance(pressed.size)
        return self.taken > 0

    def _order(self, link: LogFile, pool: PreencodePool) -> bool:
        """Have a stretch pressed from here on, if what is read next can be that plain."""
        stream_positions = self.sequencer.stream_positions
        # Before the first lines there often belongs a start.
        plain = link.packed is None and self._last_time is not None and not (self._loss or self.sequencer.pieces)
        if (
            self._redaction is None
            or not plain
            or stream_positions.out.open
            or stream_positions.err.open
            or not stream_positions.fit_64_bits
        ):
            return False
        if link.offset < link.unpressed_until:
            return False
        # By its head it is known afterwards whether it is still the file that was pressed: so it is learnt before.
        if not (link.head_holds() and link.head):
            return False
        return pool.order(
            link, link.fd, PreencodeRequest(link.offset, link.size, stream_positions, self._slice, self._redaction)
        )

    def _give_up_stretch(self) -> None:
        pool = self._pool
        if pool is not None and any(link is pool.owner for link in self._links):
            pool.stop()

    def _next(self, link: LogFile) -> bool:
        """The link has no more for now: go on to the next one, if there is one."""
        if len(self._links) == 1:
            newest = self._links[-1]
            self.open()
            # After a rotation, what was written to this link before it is read first.
            return self._links[-1] is not newest
        self._links.popleft()
        link.close()
        return True

    def _take(self, link: LogFile, data: bytes) -> None:
        self.taken = len(data)
        base = link.offset
        head, inode = link.head, link.inode
        for part in parse(data):
            if isinstance(part, CorruptBytes):
                base += part.size
                self._lose("corrupt", size=part.size)
                continue
            start = base
            self._tell_loss(part.fragments, FilePosition(inode, start, head))

            def file_position_at(index: int, part: Records = part, start: int = start) -> FilePosition:
                return FilePosition(inode, start + part.bytes_through(index), head)

            self._chunks.extend(self.sequencer.add_fragments(part.fragments, file_position_at))
            self._last_time = part.fragments.times[-1]
            base += part.size
        link.advance(len(data))

    def _cut(self, link: LogFile) -> bool:
        # An engine that cuts its file does so before it writes beyond max_size: a reader who was there has lost
        # nothing.
        if not (self._max_size and link.offset >= self._max_size):
            self._lose("truncated")
        self._give_up_stretch()
        if link.head and link.size and link.head_holds():
            link.offset = link.size  # only its end was cut off, and what is left was read
        else:
            link.restart()
        return True

    def _spoil(self, link: LogFile, size: int) -> None:
        self._lose("corrupt", size=size)
        link.advance(size)

    def _lose(self, reason: GapReason, *, size: int | None = None, detail: str = "") -> None:
        if self._loss is None:
            self._loss = _Loss(reason, self._last_time, None, size, detail)
        elif size is not None:
            self._loss.size = (self._loss.size or 0) + size

    def _tell_loss(self, fragments: Fragments, file_position: FilePosition) -> None:
        if self._loss is None:
            return
        loss, self._loss = self._loss, None
        self.sequencer.move_to(file_position)
        end = fragments.times[0]
        gap = Gap(reason=loss.reason, start=loss.start, end=end, count=loss.count, bytes=loss.size, detail=loss.detail)
        self._chunks.extend(self.sequencer.add_event(gap, end))


def _search(link: LogFile, stream: str, mark: StreamPosition) -> int | None:
    seen = 0
    while data := _whole_records(link):
        offset = find_position(data, stream, replace(mark, ordinal=mark.ordinal - seen))
        if offset is not None:
            return link.offset + offset
        seen += count_pieces(data, stream, mark)
        link.advance(len(data))
    return None


def _search_time(link: LogFile, since: int, *, bisect: bool = True) -> int | None:
    """Where the first record of that time or later begins."""
    if bisect and link.packed is None:
        link.offset = _bisected(link, since)
    while data := _whole_records(link):
        offset = find_start_from(data, since)
        if offset is not None:
            return link.offset + offset
        link.advance(len(data))
    return None


def _search_end(link: LogFile, time_ns: int) -> int | None:
    """Where the last record of that time or earlier ends."""
    found = None
    while data := _whole_records(link):
        offset = find_end_until(data, time_ns)
        found = link.offset + offset if offset is not None else found
        link.advance(len(data))
    return found


def _bisected(link: LogFile, since: int) -> int:
    """An offset at a record's beginning, before the first record of that time, in a log whose times only grow."""
    low, high = 0, link.size
    while high - low > _SEARCH_BYTES:
        middle = (low + high) // 2
        data = os.pread(link.fd, _SEARCH_BYTES // 4, middle)
        begin, stop = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        if not 0 < begin < stop or find_start_from(data[begin:stop], since) == 0:
            high = middle
        else:
            low = middle + begin
    return low


def _whole_records(link: LogFile) -> bytes:
    """Records from here on up to a newline; none at the end."""
    try:
        data = link.read(_SEARCH_BYTES)
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == _SEARCH_BYTES:
            data = link.read(_RECORD_BYTES)
            whole = data.rfind(b"\n") + 1
        return data[: whole or len(data)] if whole or len(data) >= _RECORD_BYTES else b""
    except _UNREADABLE:
        return b""
