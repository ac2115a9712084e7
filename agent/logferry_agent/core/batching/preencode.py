"""Encode batches directly from a json-file, for a backlog of megabytes.

A backlog is nearly always plain: one record after the other, each a whole line. A plain stretch of it needs only a
small part of what reading does otherwise. It is cut into slices that fill a body. Each slice is parsed and encoded at
once, and no entry passes through the pipeline by itself. The first part that is not plain (damage, a line in pieces, a
line without its end) ends the stretch, and ordinary reading continues there. A line in which a private key may begin
also ends the stretch, because the key may continue in the lines that follow. Other secrets are redacted here
(core/redaction/redaction.py).

This module knows no file and no pipeline: bytes and stream positions go in, a batch's columns and the stream positions
after it come out. So a second process can do the work (edge/preencode_pool.py).
"""

from __future__ import annotations

from typing import Final

import msgspec
import orjson

from logferry_protocol.encoding import digest_of, encode, utf8_bytes
from logferry_protocol.errors import BodyTooLargeError
from logferry_protocol.limits import MAX_BODY_BYTES, MAX_DECODED_BYTES

from ..parsing.fragments import StreamPositions, is_plain, positions_after
from ..parsing.jsonfile import parse_plain
from ..redaction.redaction import NO_REDACTION, Redaction, redact_lines

FIRST_SLICE_BYTES: Final = 96 * 1024
"""Size of the first slice of a log: plain text in records compresses at least well enough to fit a body."""

LARGEST_SLICE_BYTES: Final = MAX_DECODED_BYTES * 7 // 8
"""A document is smaller than the records that it was made from, unless control characters make it much longer."""

FILL: Final = 0.97
"""The share of a body to aim at. It is high because the lines that follow in a backlog are mostly alike."""

TAG_BYTES: Final = 96
"""Length of the tag: the end of a record, which holds the record's timestamp."""


class PreencodeRequest(msgspec.Struct, array_like=True, frozen=True):
    """A stretch of a log file to encode."""

    offset: int
    """The offset where the stretch begins, after a record."""
    end: int
    """The offset where the stretch ends at the latest."""
    stream_positions: StreamPositions
    """The positions of both streams before the stretch. No line is open."""
    slice: int = FIRST_SLICE_BYTES
    """Number of bytes of this log that filled a body the last time."""
    redaction: Redaction = NO_REDACTION
    """The redaction to apply to the lines."""


class PreencodedSlice(msgspec.Struct, array_like=True, frozen=True):
    """One slice of a stretch, encoded as a batch."""

    size: int
    """Bytes of the file, up to the end of the last record."""
    count: int
    start: int
    """Earliest time, in microseconds since 1970."""
    end: int
    """Latest time, in microseconds since 1970."""
    last: int
    """Time of the last record, in microseconds since 1970."""
    raw: int
    """UTF-8 bytes of the texts."""
    stream_positions: StreamPositions
    """The positions of both streams after the slice."""
    tag: bytes
    """The last bytes of the slice in the file. They show whether the file still holds the slice."""
    digest: str
    body: bytes
    hidden: dict[str, int] = {}
    """Number of secrets hidden, by the name of the pattern that found them."""
    originals: list[tuple[int, str]] = []
    """The lines that redaction changed, in their original form, each with its index."""


class Preencoder:
    """Encodes one stretch, slice after slice."""

    def __init__(self, request: PreencodeRequest) -> None:
        self._stream_positions = request.stream_positions
        self._redaction = request.redaction
        self.slice = request.slice
        """Number of bytes to give to the next call of `encode_next`."""

    def encode_next(self, data: bytes) -> PreencodedSlice | None:
        """Return the batch that these bytes begin with; None when they are not plain.

        Args:
            data: `slice` bytes of the file, or a little less at the end of the stretch.
        """
        while True:
            data = data[: data.rfind(b"\n") + 1]
            fragments = parse_plain(data)
            if fragments is None or not fragments.texts or not is_plain(fragments, self._stream_positions):
                return None
            texts = fragments.texts
            hidden: dict[str, int] = {}
            originals: list[tuple[int, str]] = []
            if self._redaction:
                redacted = redact_lines(self._redaction, texts)
                if redacted is None:
                    return None
                changed, hidden = redacted
                if changed:
                    originals = [(index, texts[index]) for index, _ in changed]
                    texts = list(texts)
                    for index, text in changed:
                        texts[index] = text
            try:
                body = encode(fragments.times, fragments.streams, texts, orjson.dumps)
            except BodyTooLargeError as error:
                self.slice = int(len(data) * 0.9 * error.max_size / error.size)
                if len(fragments) == 1:
                    return None
                data = data[: max(self.slice, data.find(b"\n") + 1)]
                continue
            stream_positions = positions_after(fragments, self._stream_positions, len(fragments) - 1)
            if not stream_positions.fit_64_bits:
                return None  # a time in the year 9999, for example: msgpack could not carry it to the other process
            self._stream_positions = stream_positions
            self._learn(len(data), len(body))
            return PreencodedSlice(
                size=len(data),
                count=len(fragments),
                start=min(fragments.times),
                end=max(fragments.times),
                last=fragments.times[-1],
                raw=utf8_bytes(texts),
                stream_positions=self._stream_positions,
                tag=data[-TAG_BYTES:],
                digest=digest_of(body),
                body=body,
                hidden=hidden,
                originals=originals,
            )

    def _learn(self, size: int, body: int) -> None:
        wanted = int(size * MAX_BODY_BYTES * FILL / body)
        self.slice = max(MAX_BODY_BYTES, min(wanted, size * 3, LARGEST_SLICE_BYTES))
