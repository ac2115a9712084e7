"""Parse the engine's log stream over HTTP: from large reads of the socket to fragments.

There are two layers, and a shortcut through both. The outer layer is HTTP/1.1's chunked coding, or none. For a
container without a TTY, the inner layer is frames with an 8-byte head (`[type,0,0,0,length]`, type 1 stdout, 2 stderr,
3 an error of the engine's, without timestamp). With a TTY, it is raw text in which every stored piece begins with its
timestamp and a space.

The last line of a TTY may have no newline (a prompt). When its container starts again, the next piece follows at once,
in the same line. Its timestamp is distinguished from text because it is later than the line's own. The engine takes a
line's timestamp when the line is complete. So a timestamp that a program writes into its own line is earlier.

The engine flushes each frame separately, so a chunk nearly always holds exactly one frame. Then the number of bytes
between the ends of two chunks agrees with both lengths, and it determines the bytes before the text. So both layers
come off a whole read at once, and everything else goes through the layers one by one. Without an outer layer,
log_stream_fast.py does the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import getitem
from typing import Final, cast

from .fragments import CUT, FRAGMENT_BYTES, LINE, TAIL, Fragments
from .log_stream_fast import FRAME_HEAD_BYTES, STAMP_BYTES, TYPE_LETTERS, parse_burst, whole_frames_size
from .timestamps import AS_ZEROS, SHAPE, is_stamp, nanoseconds, normalise

_STAMP: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
_WITHIN: Final = re.compile(rb"T(?<=\d{4}-\d\d-\d\dT)\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
"""A timestamp inside a text. The search begins at its `T`, because a search for one character is the fastest."""
_ZONED: Final = re.compile(rb"\.\d{9}[+-]\d\d:\d\d ")
"""The end of a timestamp in another zone than UTC."""
_STAMP_BEGINS: Final = b"0000-00-00T00:00:00.000000000"
_DATE_CHARS: Final = len("2006-01-02")
_LONGEST_STAMP: Final = len("2006-01-02T15:04:05.000000000+01:00 ")
_slice: Final = cast(Callable[[bytes, slice], bytes], getitem)
_byte: Final = cast(Callable[[bytes, int], int], getitem)
_CHUNK_END: Final = b"\n\r\n"
"""A line's newline, and the end of a chunk's data."""
_NO_HEAD: Final = b"\n"
"""Bytes that no chunk begins with."""
_REMEMBERED_SHAPES: Final = 4_096
"""Longer lines seldom have the same length, so their shapes are not cached."""
_MAX_CHUNK_LINE: Final = 1_024
_LETTER: Final = {0: "o", 1: "o", 2: "e"}
_ERROR_TYPE: Final = 3
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""A longer frame counts as a broken stream. Docker's frames have at most 16,415 bytes; awslogs' copies 262,149."""


class BrokenStreamError(Exception):
    """The stream has an unexpected form. Everything that was returned before is good.

    The sentence does not quote `found`, because it may be a container's text, cut so that a secret in it is not
    recognised.
    """

    def __init__(self, layer: str, found: bytes) -> None:
        self.layer = layer
        self.found = found
        super().__init__(layer, found)

    def __str__(self) -> str:
        return f"the engine's log stream is broken: {self.layer} does not begin as it should"


class UnstampedLogError(Exception):
    """The engine sends log entries without a time in nanoseconds, which is needed to recognise an entry.

    The sentence does not quote `found`, the beginning of a line.
    """

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(found)

    def __str__(self) -> str:
        return (
            "the engine sends this log's entries without a time to the nanosecond, as engines other than Docker's do;"
            " the agent cannot tell such entries apart and does not read them"
        )


@dataclass(slots=True)
class ReadResult:
    """What one read brought."""

    fragments: Fragments
    errors: list[str] = field(default_factory=list)
    """Errors that the engine sent in the stream, and the entries in `unstamped`."""
    unstamped: list[str] = field(default_factory=list)
    """The beginnings of entries without a time, or with a time in whole seconds."""


@dataclass(slots=True)
class _FragmentColumns:
    stamps: list[bytes] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    """With their newlines."""
    errors: list[str] = field(default_factory=list)
    unstamped: list[str] = field(default_factory=list)

    def add(self, stream: str, stamped: bytes) -> None:
        match = _STAMP.match(stamped)
        if match is None:
            self.leave_out(stamped[:128].decode("utf-8", "backslashreplace"))
            return
        self.put(stream, match.group()[:-1], stamped[match.end() :])

    def leave_out(self, text: str) -> None:
        """Note an entry that has no timestamp."""
        self.errors.append(f"a frame without timestamp: {text}")
        self.unstamped.append(text)

    def put(self, stream: str, stamp: bytes, payload: bytes) -> None:
        self.stamps.append(stamp)
        self.streams.append(stream)
        self.payloads.append(payload)

    def instants(self) -> tuple[list[str], list[int]]:
        """Return the timestamps in UTC, and the times of the entries.

        A text with the form of a timestamp that is none (month 13) becomes an error, and its piece is left out.
        """
        stamps = [stamp.decode() for stamp in self.stamps]
        try:
            return normalise(stamps)
        except ValueError:
            good = [index for index, stamp in enumerate(stamps) if is_stamp(stamp)]
        for stamp in stamps:
            if not is_stamp(stamp):
                self.leave_out(stamp)
        self.streams = [self.streams[index] for index in good]
        self.payloads = [self.payloads[index] for index in good]
        return normalise([stamps[index] for index in good])


class LogStreamParser:
    """Parses the body of one response, read by read."""

    def __init__(self, *, tty: bool, chunked: bool) -> None:
        """Start at the beginning of a body.

        Args:
            tty: the container has a TTY.
            chunked: the body is in HTTP's chunked coding.
        """
        self.done = False
        """Whether the last chunk of the chunked coding was seen."""
        self._broken: BrokenStreamError | None = None
        """The error after everything that was returned."""
        self._chunked = chunked
        self._tty = tty
        self._coded = b""
        """Bytes of the outer layer that are not decoded yet."""
        self._plain = b""
        """Bytes of the inner layer that are not decoded yet."""
        self._left = 0
        """Bytes that the current chunk still has, without its line end."""
        self._line_end = False
        """Whether all data of a chunk was read, but not its line end."""
        self._carry: dict[str, tuple[bytes, str, int]] = {}
        """For each stream, the first bytes of a character whose rest is in the next piece of the line, and the line's
        timestamp and time."""
        self._take: Callable[[_FragmentColumns], None] = self._take_raw if tty else self._take_frames

    def feed(self, data: bytes) -> ReadResult:
        """Parse what was read.

        Raises:
            BrokenStreamError: the data cannot be parsed. The stream is of no more use.
        """
        if self._broken is not None:
            raise self._broken
        if not self._chunked and not self._tty and not self._carry:
            return self._feed_bare(data)
        if (
            self._chunked
            and not self._tty
            and not self._plain
            and not self._left
            and not self._line_end
            and not self._carry
        ):
            data = self._coded + data if self._coded else data
            self._coded = b""
            quick = self._feed_quick(data)
            if quick is not None:
                if not self._whole_chunk_waits():
                    return quick
                # Bytes that the shortcut cannot parse must not wait: after the last chunk, nothing more may come.
                return self._feed_slowly(b"", quick)
        return self._feed_slowly(data)

    def _feed_bare(self, data: bytes) -> ReadResult:
        data = self._plain + data if self._plain else data
        end = whole_frames_size(data)
        found = parse_burst(data[:end] if end < len(data) else data) if end else None
        if found is None:
            self._plain = b""
            return self._feed_slowly(data)
        self._plain = data[end:]
        quick = ReadResult(found)
        # Bytes that the shortcut cannot parse must not wait: nothing more may come after them.
        return self._feed_slowly(b"", quick) if self._plain else quick

    def _feed_slowly(self, data: bytes, before: ReadResult | None = None) -> ReadResult:
        """Parse layer by layer.

        Args:
            data: the bytes to parse.
            before: the result of the same read before these bytes.
        """
        pieces = _FragmentColumns()
        try:
            if self._chunked:
                self._unchunk(data)
            else:
                self._plain += data
        except BrokenStreamError as error:
            self._broken = error
        try:
            self._take(pieces)
        except BrokenStreamError as error:
            self._broken = error
        received = self._received(pieces)
        if before is not None:
            return _joined(before, received)
        if self._broken is not None and not (received.errors or len(received.fragments)):
            raise self._broken
        return received

    def end(self, *, over: bool = False, cut: bool = False) -> ReadResult:
        """Return the rest of a stream that ended. A frame that was cut off is left to the next reading of the log.

        Args:
            over: the container is not running, so no line can continue: bytes of an incomplete character are final.
            cut: the stream may have ended anywhere, so a TTY's last line may be incomplete. It is left to the next
                reading too.
        """
        if self._broken is not None:
            raise self._broken
        pieces = _FragmentColumns()
        if self._tty and not cut:
            self._take_raw(pieces, final=True)
            rest = self._plain
            # A rest that may be the beginning of a timestamp was cut off.
            if not _STAMP_BEGINS.startswith(rest[: len(_STAMP_BEGINS)].translate(AS_ZEROS)):
                pieces.leave_out(rest[:128].decode("utf-8", "backslashreplace"))
        self._plain = b""
        return self._received(pieces, over=over)

    def _feed_quick(self, data: bytes) -> ReadResult | None:
        """Return the leading chunks that hold one frame of one line each; None when the first chunk does not.

        Every pass covers a whole column at the speed of C: no Python statement runs for each line.
        """
        *pieces, rest = data.split(_CHUNK_END)
        if not pieces:
            return None
        heads, either, type_at, stamp_at, text_at = zip(*map(_SHAPES.__getitem__, map(len, pieces)), strict=True)
        if all(map(bytes.startswith, pieces, heads)):
            streams = "o" * len(pieces)
        else:
            usual = list(map(bytes.startswith, pieces, either))
            if False in usual:
                rest = _CHUNK_END.join([*pieces[usual.index(False) :], rest])
                del pieces[usual.index(False) :]
            streams = bytes(map(_byte, pieces, type_at)).translate(TYPE_LETTERS).decode()
        stamped = b"".join(map(_slice, pieces, stamp_at))
        if stamped.translate(AS_ZEROS) != SHAPE * len(pieces):
            return None
        written_stamps = stamped.decode()
        try:
            stamps, times = normalise(written_stamps.split(" ")[:-1], nine=written_stamps)
        except ValueError:
            return None  # one of them has a day that does not exist
        texts = list(map(_slice, pieces, text_at))
        try:
            written = b"\n".join(texts).decode().split("\n")
        except UnicodeDecodeError:
            written = [text.decode("utf-8", "backslashreplace") for text in texts]
        if len(written) != len(pieces):
            return None
        self._coded = rest
        return ReadResult(Fragments(stamps, times, streams, written))

    def _whole_chunk_waits(self) -> bool:
        size, end, _ = self._coded[:_MAX_CHUNK_LINE].partition(b"\r\n")
        if not end:
            return False
        try:
            return len(self._coded) - len(size) - 4 >= int(size, 16)
        except ValueError:
            return True

    def _unchunk(self, data: bytes) -> None:
        coded = self._coded + data
        plain = [self._plain]
        try:
            position = self._unchunked(coded, plain)
        finally:
            self._plain = b"".join(plain)
        self._coded = coded[position:]

    def _unchunked(self, coded: bytes, plain: list[bytes]) -> int:
        """Decode the chunked coding, append the data to `plain`, and return how many bytes were decoded."""
        position = 0
        while position < len(coded) and not self.done:
            if self._left:
                # A chunk's data, then its line end, which is read as a whole.
                taken = coded[position : position + self._left]
                plain.append(taken)
                position += len(taken)
                self._left -= len(taken)
                if self._left:
                    break
                self._line_end = True
                continue
            if self._line_end:
                if len(coded) - position < 2:
                    break
                if coded[position : position + 2] != b"\r\n":
                    raise BrokenStreamError("a chunk's end", coded[position : position + 32])
                position += 2
                self._line_end = False
                continue
            stop = coded.find(b"\r\n", position, position + _MAX_CHUNK_LINE)
            if stop < 0:
                if len(coded) - position >= _MAX_CHUNK_LINE:
                    raise BrokenStreamError("a chunk", coded[position : position + 32])
                break
            try:
                size = int(coded[position:stop].partition(b";")[0], 16)
            except ValueError:
                raise BrokenStreamError("a chunk", coded[position : position + 32]) from None
            position = stop + 2
            self._left = size
            self.done = size == 0
        return position

    def _take_frames(self, pieces: _FragmentColumns) -> None:
        data = self._plain
        position = 0
        while len(data) - position >= 8:
            kind = data[position]
            size = int.from_bytes(data[position + 4 : position + 8], "big")
            if kind > _ERROR_TYPE or data[position + 1 : position + 4] != b"\0\0\0" or size > MAX_FRAME_BYTES:
                self._plain = data[position:]
                raise BrokenStreamError("a frame", data[position : position + 32])
            stop = position + 8 + size
            if len(data) < stop:
                break
            payload = data[position + 8 : stop]
            if kind == _ERROR_TYPE:
                pieces.errors.append(payload.decode("utf-8", "backslashreplace").strip())
            else:
                pieces.add(_LETTER[kind], payload)
            position = stop
        self._plain = data[position:]

    def _take_raw(self, pieces: _FragmentColumns, *, final: bool = False) -> None:
        """Parse the raw text of a TTY.

        Args:
            pieces: where to add what was found.
            final: nothing comes after these bytes.
        """
        data = self._plain
        zoned = _ZONED.search(data) is not None
        position = 0
        while len(data) - position > STAMP_BYTES:
            match = _STAMP.match(data, position)
            if match is None:
                # Text without a timestamp: the rest of a line that was cut at an unknown place.
                newline = data.find(b"\n", position)
                if newline < 0:
                    break
                if pieces.payloads and not pieces.payloads[-1].endswith(b"\n"):
                    pieces.payloads[-1] += data[position : newline + 1]
                else:
                    pieces.leave_out(data[position : min(newline, position + 128)].decode("utf-8", "backslashreplace"))
                position = newline + 1
                continue
            start = match.end()
            newline = data.find(b"\n", start, start + FRAGMENT_BYTES + 1)
            if newline >= 0 and newline - start < FRAGMENT_BYTES:
                stop = end = newline + 1
            elif len(data) - start >= FRAGMENT_BYTES + _LONGEST_STAMP or (final and len(data) - start > FRAGMENT_BYTES):
                stop, end = start + FRAGMENT_BYTES, start + FRAGMENT_BYTES + _LONGEST_STAMP
            elif final:
                stop = end = len(data)
            else:
                break
            stamp = data[position : start - 1]
            # Hardly any text has the end of a timestamp, so one short search decides for nearly every line.
            if zoned or data.find(b"Z ", start, end) >= 0:
                stop = _next_piece(data, stamp, start, stop, end)
            pieces.put("o", stamp, data[start:stop])
            position = stop
        self._plain = data[position:]

    def _received(self, pieces: _FragmentColumns, *, over: bool = False) -> ReadResult:
        stamps: list[str] = []
        times: list[int] = []
        streams: list[str] = []
        texts: list[str] = []
        ends: list[str] = []

        def add(stamp: str, time: int, stream: str, data: bytes, end: str) -> None:
            stamps.append(stamp)
            times.append(time)
            streams.append(stream)
            texts.append(data.decode("utf-8", "backslashreplace"))
            ends.append(end)

        for written, time, stream, payload in zip(*pieces.instants(), pieces.streams, pieces.payloads, strict=True):
            carried, of, of_time = self._carry.pop(stream, (b"", "", 0))
            if carried and of != written:
                # The line of the kept bytes was cut off there, and this is another line.
                add(of, of_time, stream, carried, TAIL)
                carried = b""
            end, data = LINE, carried + payload.removesuffix(b"\n")
            if not payload.endswith(b"\n"):
                end = CUT if len(payload) >= FRAGMENT_BYTES else TAIL
            if keep := _unfinished(data) if end == CUT else 0:
                self._carry[stream] = (data[-keep:], written, time)
                data = data[:-keep]
            add(written, time, stream, data, end)
        if over:
            for stream, (carried, stamp, time) in self._carry.items():
                add(stamp, time, stream, carried, TAIL)
            self._carry.clear()
        marks = "".join(ends)
        fragments = Fragments(stamps, times, "".join(streams), texts, "" if marks.count(LINE) == len(marks) else marks)
        return ReadResult(fragments, pieces.errors, pieces.unstamped)


def _joined(first: ReadResult, second: ReadResult) -> ReadResult:
    one, other = first.fragments, second.fragments
    if not len(other):
        return ReadResult(one, first.errors + second.errors, first.unstamped + second.unstamped)
    ends = "" if not one.ends and not other.ends else (one.ends or LINE * len(one)) + (other.ends or LINE * len(other))
    joined = Fragments(
        one.stamps + other.stamps, one.times + other.times, one.streams + other.streams, one.texts + other.texts, ends
    )
    return ReadResult(joined, first.errors + second.errors, first.unstamped + second.unstamped)


class _Shapes(dict[int, tuple[bytes, tuple[bytes, bytes], int, slice, slice]]):
    """The shape of a chunk that holds one frame of one line, by the chunk's length without its end.

    A shape has: the beginning of a stdout chunk, the beginnings for both streams, the index of the frame's type, and
    the slices of the timestamp (with the space) and of the text.
    """

    def __missing__(self, length: int) -> tuple[bytes, tuple[bytes, bytes], int, slice, slice]:
        digits = next((count for count in range(1, 8) if len(f"{length - count - 1:x}") == count), 0)
        payload = length - digits - 1 - FRAME_HEAD_BYTES
        if payload > STAMP_BYTES:
            heads = [
                b"%x\r\n%c\0\0\0%b" % (payload + FRAME_HEAD_BYTES, kind, payload.to_bytes(4, "big")) for kind in (1, 2)
            ]
        else:
            heads = [_NO_HEAD, _NO_HEAD]
        begin = digits + 2 + FRAME_HEAD_BYTES
        shape = (
            heads[0],
            (heads[0], heads[1]),
            digits + 2,
            slice(begin, begin + STAMP_BYTES),
            slice(begin + STAMP_BYTES, None),
        )
        if length < _REMEMBERED_SHAPES:
            self[length] = shape
        return shape


_SHAPES: Final = _Shapes()


def _next_piece(data: bytes, stamp: bytes, start: int, stop: int, end: int) -> int:
    """Return the index where a TTY's piece ends: where another piece begins after a line without newline, or `stop`.

    Args:
        data: what was received.
        stamp: the piece's timestamp.
        start: the index where its text begins.
        stop: the index where its text ends, unless another piece begins before.
        end: the index where the timestamp of another piece ends at the latest.
    """
    match = _WITHIN.search(data, start + _DATE_CHARS + 1, end)
    while match is not None and (begin := match.start() - _DATE_CHARS) < stop:
        if _is_later(data[begin : match.end() - 1].decode(), stamp.decode()):
            return begin
        match = _WITHIN.search(data, match.end(), end)
    return stop


def _is_later(stamp: str, other: str) -> bool:
    try:
        return nanoseconds(stamp) > nanoseconds(other)
    except ValueError:
        return False


def _unfinished(data: bytes) -> int:
    """Return how many bytes at the end are the beginning of an incomplete character."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte > 0xF4 or 0xC0 <= byte < 0xC2:
            return 0  # no character begins with this byte
        if byte >= 0xC0:
            wanted = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2
            return back if wanted > back else 0
        if byte < 0x80:
            return 0
    return 0
