"""Batches straight from a json-file, for what waits to be read by the megabyte.

A backlog is nearly always plain: one record after the other, each a whole line. A stretch of that needs little of what
reading does otherwise. It is cut into slices that fill a body, and each is parsed and encoded at once, with no entry
passing through the pipeline by itself. What is not plain (damage, a line in pieces, one without its end) ends the
stretch, and ordinary reading goes on from there. So does a line in which a private key may begin: it may go on in lines
that follow. Other secrets are hidden here (core/redaction/redaction.py).

Nothing here knows a file or the pipeline: bytes and marks go in, a batch's columns and the marks after it come out. So
it can be done in a process of its own (edge/preencode_pool.py), beside the one that ships.
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
"""Of a log of which nothing is known: plain text in records compresses at least about so well."""

LARGEST_SLICE_BYTES: Final = MAX_DECODED_BYTES * 7 // 8
"""A document is smaller than the records that it was made from, unless control characters blow it up."""

FILL: Final = 0.97
"""How much of a body to aim at: what follows in a backlog is mostly alike."""

TAG_BYTES: Final = 96
"""The end of a record, which holds its timestamp."""


class PreencodeRequest(msgspec.Struct, array_like=True, frozen=True):
    """A stretch to press."""

    offset: int
    """Where in the file it begins, behind a record."""
    end: int
    """Nothing from here on is looked at."""
    stream_positions: StreamPositions
    """How far both streams were read before it; no line is open."""
    slice: int = FIRST_SLICE_BYTES
    """How many bytes of this log filled a body, the last time."""
    redaction: Redaction = NO_REDACTION
    """What to hide in its lines."""


class PreencodedSlice(msgspec.Struct, array_like=True, frozen=True):
    """One batch of a stretch."""

    size: int
    """Bytes of the file, up to the end of its last record."""
    count: int
    start: int
    """Earliest time, microseconds."""
    end: int
    last: int
    """Time of the last record, microseconds."""
    raw: int
    """UTF-8 bytes of the texts."""
    stream_positions: StreamPositions
    """After it."""
    tag: bytes
    """What is at the end of it in the file, by which it is known to be there still."""
    digest: str
    body: bytes
    hidden: dict[str, int] = {}
    """Secrets that were hidden, by the name of what found them."""
    originals: list[tuple[int, str]] = []
    """The lines that redaction changed, as they were, each with its index."""


class Preencoder:
    """One stretch, slice after slice."""

    def __init__(self, order: PreencodeRequest) -> None:
        self._stream_positions = order.stream_positions
        self._redaction = order.redaction
        self.slice = order.slice
        """How many bytes the next batch should be made of."""

    def encode_next(self, data: bytes) -> PreencodedSlice | None:
        """The batch that these bytes, `slice` of them or a little less, begin with; None where they are not plain."""
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
                return None  # of the year 9999, say: it could not be passed on
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
