"""Read one container's json-file log from disk, through every rotation, truncation and removal.

Theory of operation. `file_chain.py` holds the files of the chain. The next files are found by looking for the last
known one among the files on disk, and opening everything younger. That happens as soon as a rotation is noticed, and at
every end of a file. Where inotify reports every new file, rotations are also counted. So it is certain whether a file
came and went unseen; a missing file becomes a gap entry.

A file may also be truncated under the reader (engines before 23.0 with max-file=1, `copytruncate`). So after every read
the head of the file is compared: while the first record is the same, what was read is what was written.
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
"""Without a newline for this many bytes it is no json-file (a 16 KiB fragment of control characters takes 98,000)."""
_SEARCH_BYTES: Final = 1024 * 1024
_LITTLE_BYTES: Final = 4_096
_ORDINARY_BYTES: Final = 512 * 1024
"""After a preencoded stretch, bytes to read in the ordinary way: what was not plain in the stretch is behind then."""
_BEHIND_BYTES: Final = 131_072
"""A record is not longer than this many bytes."""
_UNSEEN: Final = "log file(s) came and went before they could be opened"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)


@dataclass(slots=True)
class _OpenGap:
    """A gap whose end is not known before something follows it."""

    reason: GapReason
    start: int | None
    count: int | None = None
    size: int | None = None
    detail: str = ""


@dataclass(slots=True)
class _MissingFile:
    """Stands in the chain where a file is missing."""

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
        """Continue the log at `path` from the sequencer's position.

        Args:
            path: The log.
            sequencer: Gives entries their numbers and cursors, and knows the position.
            since: Without a cursor, begin with the first record of this time, in nanoseconds since 1970.
            max_size: The size from which on the engine rotates the file; 0 where it never does.
            pool: Reads megabytes of backlog; None without one.
            redaction: What is hidden in preencoded lines. None: lines are processed one by one, without the pool.
        """
        self.sequencer = sequencer
        self.path = path
        self.gone = False
        """Set by the owner: the container was removed, and no file will come."""
        self.count_files: Callable[[], int | None] = lambda: None
        """Returns how many new files appeared under the log's name since some moment; None when they are not counted.
        """
        self.taken = 0
        """Bytes that the last read took."""
        self._counted_at_newest: int | None = None
        """The count when the newest file was opened."""
        self._since = since
        self._max_size = max_size
        self._files: deque[LogFile | _MissingFile] = deque()
        self._chunks: deque[Chunk | PreencodedBatch] = deque()
        self._pool = pool
        self._redaction = redaction
        self._slice = FIRST_SLICE_BYTES
        """Bytes that made the last batch."""
        self._loss: _OpenGap | None = None
        self._last_time: int | None = None
        self._placed = False
        self._held = False
        """Whether a file of the log was ever opened."""
        self.counted_from_birth = False
        """Whether `count_files` counts every file since the container's creation. Then a file that came and went before
        the first could be opened is known to be missing."""

    # --- the chain ---

    def set_running(self, running: bool) -> None:
        """Do nothing: a file is read the same whether the container runs or not."""

    @property
    def untouched(self) -> bool:
        """Whether nothing was read yet; files may be open."""
        return not self._placed

    def begin(
        self,
        sequencer: EntrySequencer,
        *,
        since: int,
        max_size: int,
        redaction: Redaction | None = NO_REDACTION,
    ) -> None:
        """Read the files held so far with what the constructor would take."""
        self.sequencer, self._since, self._max_size, self._redaction = sequencer, since, max_size, redaction

    def uncounted(self) -> None:
        """Distrust the count of new files up to now."""
        self._counted_at_newest = None
        self.counted_from_birth = False

    def open(self) -> bool:
        """Find and open the files of the log, again after each rotation.

        Returns:
            Whether any is open.

        Raises:
            PermissionError: A file may not be read.
        """
        newest = self._files[-1] if self._files else None
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
                self._files.append(_MissingFile(f"{counted - len(chain)} {_UNSEEN}"))
            self._files.extend(chain)
        if chain:
            self._held = True
            self._counted_at_newest = counted
        return bool(self._files)

    def _snapshot(self) -> tuple[list[LogFile], int | None]:
        """Return the chain on disk and the matching count of files: no rotation came in between."""
        while True:
            before = self.count_files()
            chain = open_chain(self.path)
            after = self.count_files()
            if before == after:
                return chain, after
            close_all(chain)

    def _extend(self, chain: list[LogFile], newest: LogFile, counted: int | None) -> None:
        known = next((number for number, file in enumerate(chain) if is_same_file(file, newest)), None)
        if known is not None:
            close_all(chain[: known + 1])
            self._files.extend(chain[known + 1 :])
            return
        # The newest known file is no longer on disk. The count shows whether all files after it are.
        at_newest = self._counted_at_newest
        came = counted - at_newest if counted is not None and at_newest is not None else None
        if came is not None and 0 < came <= len(chain):
            close_all(chain[: len(chain) - came])
            self._files.extend(chain[len(chain) - came :])
            return
        missing = came - len(chain) if came is not None and came > len(chain) else None
        self._files.append(_MissingFile(f"perhaps {_UNSEEN}" if missing is None else f"{missing} {_UNSEEN}"))
        self._files.extend(chain)

    # --- where to begin ---

    def _find_place(self) -> None:
        self._placed = True
        files = [file for file in self._files if isinstance(file, LogFile)]
        stream_positions = self.sequencer.stream_positions
        file_position = self.sequencer.file_position
        for file in files:
            file.check_first_record()
        if file_position is not None and file_position.head:
            for file in files:
                if file.head == file_position.head:
                    self._begin_at_place(file, file_position.offset)
                    return
        if stream_positions.read:
            found = self._find_marks(files)
            if found is not None:
                self._begin_at(*found)
                return
            self._last_time = entry_time(stream_positions.latest)
            self._lose("rotated", detail="the last position read is no longer in the log")
        elif file_position is None and self.sequencer.after:
            self._begin_behind_time(files, self.sequencer.after)
        elif file_position is None and self._since:
            self._begin_at_time(files)

    def _begin_at(self, file: LogFile, offset: int) -> None:
        while self._files[0] is not file:
            dropped = self._files.popleft()
            if isinstance(dropped, LogFile):
                dropped.close()
        if file.packed is not None:
            while file.offset < offset:
                skipped = file.read(min(_SEARCH_BYTES, offset - file.offset))
                if not skipped:
                    break
                file.advance(len(skipped))
        else:
            file.offset = offset

    def _begin_at_place(self, file: LogFile, offset: int) -> None:
        """Begin where the cursor says, if what was read last is still there.

        The host may have lost the end of its files.
        """
        if file.packed is not None or self._is_behind_marks(file, offset):
            self._begin_at(file, offset)
            return
        self._last_time = entry_time(self.sequencer.stream_positions.latest)
        scan = file.reopened()
        found = _search_time(scan, self.sequencer.stream_positions.latest + 1_000, bisect=False)
        scan.close()
        self._begin_at(file, file.size if found is None else found)
        self._lose("truncated", detail="the file was truncated before the last position read")

    def _is_behind_marks(self, file: LogFile, offset: int) -> bool:
        """Return whether reading had come to the record that ends here.

        It is the last one read, or is damaged: reading may have gone on behind damage.
        """
        if file.size < offset:
            return False
        data = os.pread(file.fd, min(offset, _BEHIND_BYTES), max(0, offset - _BEHIND_BYTES))
        if not data:
            return True
        last = data[data.rfind(b"\n", 0, len(data) - 1) + 1 :]
        (part, *_) = reversed(parse(last)) if last.endswith(b"\n") else [CorruptBytes(len(last))]
        if isinstance(part, CorruptBytes):
            return last.endswith(b"\n") or len(last) >= _BEHIND_BYTES
        mark = self.sequencer.stream_positions.of(part.fragments.streams)
        return nanoseconds(part.fragments.stamps[0]) == mark.stamp and digest(part.fragments.texts[0]) == mark.digest

    def _find_marks(self, files: list[LogFile]) -> tuple[LogFile, int] | None:
        """Return where the last fragment read ends in the log; None when it is no longer there.

        An earlier version's cursor does not say which stream's fragment was last. Then it is the later one of the two
        streams' positions in the log.
        """
        stream_positions = self.sequencer.stream_positions
        found: tuple[LogFile, int] | None = None
        for stream, mark in (("o", stream_positions.out), ("e", stream_positions.err)):
            if not mark.read or stream_positions.last not in {"", stream}:
                continue
            for number in range(len(files) - 1, -1, -1):
                scan = files[number].reopened()
                offset = _search(scan, stream, mark)
                scan.close()
                if offset is not None:
                    if found is None or (number, offset) > (files.index(found[0]), found[1]):
                        found = (files[number], offset)
                    break
        return found

    def _begin_behind_time(self, files: list[LogFile], time_ns: int) -> None:
        """Begin behind the last record of this time or earlier, wherever clocks stepped."""
        for file in reversed(files):
            scan = file.reopened()
            offset = _search_end(scan, time_ns)
            scan.close()
            if offset is not None:
                self._begin_at(file, offset)
                return

    def _begin_at_time(self, files: list[LogFile]) -> None:
        for file in files:
            scan = file.reopened()
            offset = _search_time(scan, self._since)
            scan.close()
            if offset is not None:
                self._begin_at(file, offset)
                return
        last = files[-1]
        self._begin_at(last, last.size)

    # --- reading ---

    @property
    def ended(self) -> bool:
        """Whether the container is gone and everything was read."""
        return self.gone and not self._chunks and self.unread == 0

    @property
    def unread(self) -> int:
        """Unread bytes in the open files."""
        return sum(file.unread for file in self._files if isinstance(file, LogFile))

    @property
    def caught_up(self) -> bool:
        """Whether almost nothing is left to read, and nothing to hand over."""
        return not self._chunks and self.unread < _LITTLE_BYTES

    @property
    def kept_alive(self) -> int:
        """Unread bytes of deleted files that exist only because they are open here."""
        return sum(file.unread for file in self._files if isinstance(file, LogFile) and file.deleted)

    def read(self, limit_bytes: int) -> Chunk | PreencodedBatch | None:
        """Return the next chunk; None when everything was read."""
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
        """Return what is due at the present end of the log, one chunk at a time; None when nothing is."""
        if not self._chunks and (self.gone or self.sequencer.awaits_exit):
            self._tell_last_loss()
        if not self._chunks:
            self._chunks.extend(self.sequencer.take_due())
        return self._chunks.popleft() if self._chunks else None

    def _tell_last_loss(self) -> None:
        """Report what is missing at the end, before the end of the run itself: nothing follows that could."""
        if not self._held and self.sequencer.awaits_exit:
            self._held = True  # once
            self._lose("removed", detail="the container was removed before its log could be opened")
        if self._loss is not None:
            loss, self._loss = self._loss, None
            gap = Gap(reason=loss.reason, start=loss.start, count=loss.count, bytes=loss.size, detail=loss.detail)
            self._chunks.extend(self.sequencer.add_event(gap, loss.start or time.time_ns() // 1_000))

    def drop_oldest(self) -> int:
        """Close the oldest deleted file, and report a gap. Return how many unread bytes that frees."""
        for file in list(self._files):
            if isinstance(file, LogFile) and file.deleted and file.unread and file is not self._files[-1]:
                size = file.unread
                self._lose("rotated", size=size, detail="too many bytes waited in deleted log files")
                self._give_up_stretch()
                file.close()
                self._files.remove(file)
                return size
        return 0

    def close(self) -> None:
        """Close all files."""
        self._give_up_stretch()
        close_all([file for file in self._files if isinstance(file, LogFile)])
        self._files.clear()

    def _read_some(self, limit_bytes: int) -> bool:  # noqa: PLR0911
        """Read once. Return False when there is nothing new."""
        file = self._files[0]
        if isinstance(file, _MissingFile):
            self._lose("rotated", detail=file.detail)
            self._files.popleft()
            return bool(self._files)
        final = len(self._files) > 1 or self.gone
        try:
            if file.packed is None and file.size < file.offset:
                return self._cut(file)
            if self._read_preencoded(file):
                return True
            data = file.read(limit_bytes)
            if data and data.rfind(b"\n") < 0 and len(data) >= limit_bytes:
                data = file.read(_RECORD_BYTES)
            whole = data.rfind(b"\n") + 1
            if whole == 0 and data and (final or len(data) >= _RECORD_BYTES):
                # The record stays incomplete. What follows begins with the next newline, if there is one.
                self._spoil(file, len(data))
                return True
            if whole == 0:
                return self._next(file)
            if not file.check_first_record():
                return self._cut(file)
        except _UNREADABLE as error:
            self._give_up_stretch()
            self._lose("corrupt", detail=f"a log file cannot be read: {error}"[:200])
            file.finish()
            return self._next(file)
        self._take(file, data[:whole])
        return True

    def _read_preencoded(self, file: LogFile) -> bool:
        """Take the batches that the preencode process has ready. Return False where ordinary reading has to go on."""
        pool = self._pool
        if pool is None or not (pool.owner is file or self._submit(file, pool)):
            return False
        found = pool.take()
        stop = file.offset + sum(batch.size for batch in found)
        if pool.owner is None:
            file.ordinary_until = stop + (0 if pool.plain else _ORDINARY_BYTES)
        if not file.check_first_record():
            return self._cut(file)
        if found and not file.holds(found[-1].tag, stop):
            self._give_up_stretch()  # the end of the file was cut off: what is there now is read in the ordinary way
            return False
        self.taken = 0
        for batch in found:
            end = file.offset + batch.size
            if not self.sequencer.accepts(batch):
                self._give_up_stretch()
                file.ordinary_until = end
                break
            file_position = FilePosition(file.inode, file.offset, file.head)
            redaction = self._redaction or NO_REDACTION
            self._chunks.append(
                self.sequencer.add_preencoded(batch, file_position, replace(file_position, offset=end), redaction)
            )
            self._last_time, self._slice = batch.last, batch.size
            self.taken += batch.size
            file.advance(batch.size)
        return self.taken > 0

    def _submit(self, file: LogFile, pool: PreencodePool) -> bool:
        """Ask the preencode process for a stretch from here on, if what comes next can be plain."""
        stream_positions = self.sequencer.stream_positions
        # A start event often belongs before the first lines.
        plain = file.packed is None and self._last_time is not None and not (self._loss or self.sequencer.pieces)
        if (
            self._redaction is None
            or not plain
            or stream_positions.out.open
            or stream_positions.err.open
            or not stream_positions.fit_64_bits
        ):
            return False
        if file.offset < file.ordinary_until:
            return False
        # The head shows afterwards whether the file is still the same, so it must be known before.
        if not (file.check_first_record() and file.head):
            return False
        return pool.submit(
            file, file.fd, PreencodeRequest(file.offset, file.size, stream_positions, self._slice, self._redaction)
        )

    def _give_up_stretch(self) -> None:
        pool = self._pool
        if pool is not None and any(file is pool.owner for file in self._files):
            pool.stop()

    def _next(self, file: LogFile) -> bool:
        """Go on to the next file, if there is one."""
        if len(self._files) == 1:
            newest = self._files[-1]
            self.open()
            # After a rotation, read first what was written to this file before it.
            return self._files[-1] is not newest
        self._files.popleft()
        file.close()
        return True

    def _take(self, file: LogFile, data: bytes) -> None:
        self.taken = len(data)
        base = file.offset
        head, inode = file.head, file.inode
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
        file.advance(len(data))

    def _cut(self, file: LogFile) -> bool:
        # An engine that truncates its file does so before it writes beyond max_size: a reader that was there has lost
        # nothing.
        if not (self._max_size and file.offset >= self._max_size):
            self._lose("truncated")
        self._give_up_stretch()
        if file.head and file.size and file.check_first_record():
            file.offset = file.size  # only its end was cut off, and what is left was read
        else:
            file.restart()
        return True

    def _spoil(self, file: LogFile, size: int) -> None:
        self._lose("corrupt", size=size)
        file.advance(size)

    def _lose(self, reason: GapReason, *, size: int | None = None, detail: str = "") -> None:
        if self._loss is None:
            self._loss = _OpenGap(reason, self._last_time, None, size, detail)
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


def _search(file: LogFile, stream: str, mark: StreamPosition) -> int | None:
    seen = 0
    while data := _whole_records(file):
        offset = find_position(data, stream, replace(mark, ordinal=mark.ordinal - seen))
        if offset is not None:
            return file.offset + offset
        seen += count_pieces(data, stream, mark)
        file.advance(len(data))
    return None


def _search_time(file: LogFile, since: int, *, bisect: bool = True) -> int | None:
    """Return where the first record of that time or later begins; None without one."""
    if bisect and file.packed is None:
        file.offset = _bisected(file, since)
    while data := _whole_records(file):
        offset = find_start_from(data, since)
        if offset is not None:
            return file.offset + offset
        file.advance(len(data))
    return None


def _search_end(file: LogFile, time_ns: int) -> int | None:
    """Return where the last record of that time or earlier ends; None without one."""
    found = None
    while data := _whole_records(file):
        offset = find_end_until(data, time_ns)
        found = file.offset + offset if offset is not None else found
        file.advance(len(data))
    return found


def _bisected(file: LogFile, since: int) -> int:
    """Return the offset of a record before the first one of that time. Only for logs whose times never decrease."""
    low, high = 0, file.size
    while high - low > _SEARCH_BYTES:
        middle = (low + high) // 2
        data = os.pread(file.fd, _SEARCH_BYTES // 4, middle)
        begin, stop = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        if not 0 < begin < stop or find_start_from(data[begin:stop], since) == 0:
            high = middle
        else:
            low = middle + begin
    return low


def _whole_records(file: LogFile) -> bytes:
    """Return records from here on up to a newline; none at the end."""
    try:
        data = file.read(_SEARCH_BYTES)
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == _SEARCH_BYTES:
            data = file.read(_RECORD_BYTES)
            whole = data.rfind(b"\n") + 1
        return data[: whole or len(data)] if whole or len(data) >= _RECORD_BYTES else b""
    except _UNREADABLE:
        return b""
