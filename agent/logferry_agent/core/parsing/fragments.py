"""Assemble entries from the fragments of two interleaved streams.

Theory of operation
-------------------
The engine's copier cuts what a container writes into *fragments*: a line with its newline, a piece of exactly 16,384
bytes of a longer line, or an unterminated rest when the stream ends. Drivers store each fragment separately, stdout and
stderr interleaved. All pieces of one line carry the timestamp of its first piece, and nothing else marks a
continuation. So each stream has at most one open line, and a fragment with the same timestamp continues it. An open
line whose timestamp is not repeated was cut off (the container ended there), and the fragment begins a new line.

A terminated line of exactly 16,384 bytes arrives as a full piece and then a bare newline with the same timestamp. The
newline closes the line and is not an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from logferry_protocol.limits import MAX_ENTRY_BYTES

from .timestamps import nanoseconds

FRAGMENT_BYTES: Final = 16_384
"""Docker's copier cuts a line at this size (moby daemon/logger/copier.go, defaultBufSize)."""

LINE: Final = "n"
"""A fragment's end: a newline."""
CUT: Final = "c"
"""A fragment's end: none, and the fragment has full size. The line continues if the next timestamp is the same."""
TAIL: Final = "t"
"""A fragment's end: none, and the fragment is short. The stream ended here."""


@dataclass(slots=True)
class Fragments:
    """Consecutive fragments of one container's log, in columns of equal length.

    Attributes:
        stamps: the engine's timestamps in UTC (see timestamps.py). Through the API all have nine decimals, so equal
            texts are equal instants, and a later text is a later instant.
        times: the times of their entries in microseconds since 1970, within the wire's range.
        streams: `o` or `e` for each fragment.
        texts: the texts without the newline.
        ends: LINE, CUT or TAIL for each fragment; empty when all are LINE, which is nearly always.
    """

    stamps: list[str]
    times: list[int]
    streams: str
    texts: list[str]
    ends: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    def ending(self, index: int) -> str:
        """Return a fragment's end: LINE, CUT or TAIL."""
        return self.ends[index] if self.ends else LINE

    def slice(self, start: int, stop: int) -> Fragments:
        """Return the fragments from index `start` up to, but not including, `stop`."""
        return Fragments(
            self.stamps[start:stop],
            self.times[start:stop],
            self.streams[start:stop],
            self.texts[start:stop],
            self.ends[start:stop],
        )

    def keep(self, wanted: Sequence[int]) -> Fragments:
        """Return only the fragments with these indices."""
        return Fragments(
            [self.stamps[i] for i in wanted],
            [self.times[i] for i in wanted],
            "".join([self.streams[i] for i in wanted]),
            [self.texts[i] for i in wanted],
            "".join([self.ends[i] for i in wanted]) if self.ends else "",
        )


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """The position up to which one stream was read. It identifies the last fragment in any copy of the log.

    Attributes:
        stamp: the last fragment's timestamp in nanoseconds since 1970, negative before.
        ordinal: number of fragments of this stream that carry that timestamp up to here; 0 when nothing was read.
        digest: digest of the last fragment's text, so that another log is not mistaken for this one.
        open: whether the line continues if the next fragment has the same timestamp.
    """

    stamp: int = 0
    ordinal: int = 0
    digest: str = ""
    open: bool = False

    @property
    def read(self) -> bool:
        """Return whether anything of the stream was read."""
        return self.ordinal > 0


@dataclass(frozen=True, slots=True)
class StreamPositions:
    """The positions up to which both streams were read."""

    out: StreamPosition = StreamPosition()
    err: StreamPosition = StreamPosition()
    last: str = ""
    """The stream of the last fragment, `o` or `e`; empty: not known. Timestamps do not tell: clocks step back."""

    def of(self, stream: str) -> StreamPosition:
        """Return the position of stream `o` or `e`."""
        return self.out if stream == "o" else self.err

    @property
    def read(self) -> bool:
        """Return whether anything of the log was read."""
        return self.out.read or self.err.read

    @property
    def fit_64_bits(self) -> bool:
        """Return whether both timestamps fit 64 bits: MessagePack has no longer numbers."""
        return min(self.out.stamp, self.err.stamp) >= -(1 << 63) and max(self.out.stamp, self.err.stamp) < 1 << 63

    @property
    def latest(self) -> int:
        """Return the later timestamp of both last fragments in nanoseconds since 1970; 0 when nothing was read."""
        return max((position.stamp for position in (self.out, self.err) if position.read), default=0)


@dataclass(slots=True)
class EntryColumns:
    """Entries in columns."""

    times: list[int]
    streams: str
    texts: list[str]
    origins: list[int] | None = None
    """For each entry, the index of the fragment that it came from. None: the same index as the entry's."""

    def origin(self, index: int) -> int:
        """Return the index of the fragment that entry `index` came from."""
        return index if self.origins is None else self.origins[index]


def is_plain(fragments: Fragments, before: StreamPositions) -> bool:
    """Return whether each fragment is one entry without any change."""
    return (
        not fragments.ends
        and not before.out.open
        and not before.err.open
        and max(map(len, fragments.texts), default=0) * 3 <= MAX_ENTRY_BYTES
    )


def assemble(fragments: Fragments, before: StreamPositions) -> EntryColumns:
    """Return the entries that these fragments make, after a log that was read up to `before`."""
    if is_plain(fragments, before):
        return EntryColumns(fragments.times, fragments.streams, fragments.texts)
    return _assemble(fragments, before)


def _assemble(fragments: Fragments, before: StreamPositions) -> EntryColumns:
    open_stamp = {
        "o": before.out.stamp if before.out.open else None,
        "e": before.err.stamp if before.err.open else None,
    }
    times: list[int] = []
    streams: list[str] = []
    texts: list[str] = []
    origins: list[int] = []
    ends = fragments.ends or LINE * len(fragments)
    for index, (stamp, time, stream, text, end) in enumerate(
        zip(fragments.stamps, fragments.times, fragments.streams, fragments.texts, ends, strict=True)
    ):
        opened = open_stamp[stream]
        stamp_ns = nanoseconds(stamp) if opened is not None or end == CUT else None
        continues = opened is not None and stamp_ns == opened
        open_stamp[stream] = stamp_ns if end == CUT else None
        if continues and not text:
            continue
        pieces = [text] if len(text) * 3 <= MAX_ENTRY_BYTES else split(text)
        times.extend([time] * len(pieces))
        streams.append(stream.upper() if continues else stream)
        streams.append(stream.upper() * (len(pieces) - 1))
        texts.extend(pieces)
        origins.extend([index] * len(pieces))
    return EntryColumns(times, "".join(streams), texts, origins)


def split(text: str) -> list[str]:
    """Return the text in the fewest pieces of about equal size that fit an entry.

    A fragment outgrows an entry where the engine replaced bytes that were not UTF-8 (one byte becomes three), or where
    the agent escaped them. When there are several pieces, each has at least 4,096 bytes. This keeps the rule that a
    short entry is never continued.
    """
    raw = text.encode()
    if len(raw) <= MAX_ENTRY_BYTES:
        return [text]
    count = -(-len(raw) // (MAX_ENTRY_BYTES - 3))
    pieces = []
    start = 0
    for number in range(1, count + 1):
        stop = len(raw) * number // count
        while stop < len(raw) and raw[stop] & 0xC0 == 0x80:  # inside of a character
            stop -= 1
        pieces.append(raw[start:stop].decode())
        start = stop
    return pieces


def digest(text: str) -> str:
    """Return eight hexadecimal digits that identify a fragment's text."""
    return blake2b(text.encode(), digest_size=4).hexdigest()


def positions_after(fragments: Fragments, before: StreamPositions, index: int) -> StreamPositions:
    """Return the positions of both streams after fragment `index` (-1: before the first)."""
    last = fragments.streams[index] if index >= 0 else before.last
    return StreamPositions(
        _position_after(fragments, before.out, "o", index), _position_after(fragments, before.err, "e", index), last
    )


def _position_after(fragments: Fragments, before: StreamPosition, stream: str, index: int) -> StreamPosition:
    streams = fragments.streams
    last = streams.rfind(stream, 0, index + 1)
    if last < 0:
        return before
    stamp_ns = nanoseconds(fragments.stamps[last])
    ordinal = 1
    position = streams.rfind(stream, 0, last)
    while position >= 0 and _is_at(fragments, position, fragments.stamps[last], stamp_ns):
        ordinal += 1
        position = streams.rfind(stream, 0, position)
    if position < 0 and before.read and before.stamp == stamp_ns:
        ordinal += before.ordinal
    return StreamPosition(stamp_ns, ordinal, digest(fragments.texts[last]), fragments.ending(last) == CUT)


def _is_at(fragments: Fragments, index: int, stamp: str, stamp_ns: int) -> bool:
    """Return whether a fragment has this timestamp, with any number of decimals."""
    written = fragments.stamps[index]
    return written == stamp or (len(written) != len(stamp) and nanoseconds(written) == stamp_ns)
