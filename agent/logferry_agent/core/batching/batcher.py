"""Gather one job's chunks in an open batch, and close batches that fit one frame.

Theory of operation
-------------------
The limit of a body applies after compression, and the compressed size is known only after compressing. Compressing
again and again to find the limit would cost more than everything else, so the batcher learns. Each closed batch shows
how many bytes its weight (text length plus a constant for each entry) came to. The next batch is cut at the weight that
should fill 94 % of a body. When the guess is too high, the batch is cut in proportion and compressed once more. That is
rare, because the logs of one container stay alike.

Chunks are never copied as a whole. The open batch is a list of segments (chunk, begin, weights) that are joined when
the batch closes.

Open entries must also be on disk within 250 ms, so the batcher counts how many of them are `saved`. Entries that come
back from disk know their cursor only where they were saved. Between these points a cursor says "from there, but skip n
entries" (see `skip_cursor`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final

import orjson

from logferry_protocol.encoding import digest_of, encode, utf8_bytes
from logferry_protocol.errors import BodyTooLargeError
from logferry_protocol.limits import MAX_BATCH_ENTRIES, MAX_BODY_BYTES

from .entries import Batch, Chunk, SavedEntries

ENTRY_WEIGHT = 8
"""Weight of an entry beyond its text: its delta, quotes, comma and stream character."""

FILL = 0.94
"""The share of a body to aim at, so that a batch that compresses a little worse than the last one still fits."""

FIRST_TARGET = 4 * MAX_BODY_BYTES
"""Weight of a job's first batch, before anything is known: plain text compresses at least four times."""

LARGEST_TARGET = 900_000
"""Keeps the decoded document under its limit (1 MiB), unless escapes make the text much longer."""

Encode = Callable[[Sequence[int], str, Sequence[str]], bytes]

_encode: Final[Encode] = partial(encode, to_json=orjson.dumps)


@dataclass(slots=True)
class _Segment:
    chunk: Chunk
    begin: int
    weights: list[int]
    """The cumulative weight after each of the chunk's entries, from its first on."""

    def __len__(self) -> int:
        return len(self.weights) - self.begin

    @property
    def base(self) -> int:
        return self.weights[self.begin - 1] if self.begin else 0

    @property
    def weight(self) -> int:
        return self.weights[-1] - self.base


class Batcher:
    """Collects one job's entries and closes batches."""

    def __init__(self, encode: Encode = _encode) -> None:
        self._encode = encode
        self._segments: deque[_Segment] = deque()
        self._weight = 0
        self._target = FIRST_TARGET
        self._ceiling = LARGEST_TARGET
        self.count = 0
        """Entries in the open batch."""
        self.saved = 0
        """Number of open entries that are on disk, from the first on."""

    @property
    def weight(self) -> int:
        """Return the approximate number of bytes in the open batch."""
        return self._weight

    @property
    def cursor(self) -> str | None:
        """Return the cursor after the last open entry; None when no entry is open."""
        return self._cursor_at(self.count) if self.count else None

    @property
    def first_time(self) -> int | None:
        """Return the time of the oldest open entry in microseconds since 1970; None when no entry is open."""
        segment = next(iter(self._segments), None)
        return segment.chunk.times[segment.begin] if segment is not None else None

    @property
    def ends_with_event(self) -> bool:
        """Return whether the last open entry is a system event, such as the end of a run after its last line."""
        return bool(self._segments) and self._segments[-1].chunk.streams[-1] == "s"

    def add(self, chunk: Chunk, begin: int = 0) -> None:
        """Add a chunk's entries from index `begin` on. Check `full` and call `close` afterwards."""
        if begin >= len(chunk.texts):
            return
        # One pass over the whole column at C speed, instead of an object or a Python statement for each entry.
        weights = list(accumulate(map(ENTRY_WEIGHT.__add__, map(len, chunk.texts))))
        segment = _Segment(chunk, begin, weights)
        self._segments.append(segment)
        self._weight += segment.weight
        self.count += len(segment)

    @property
    def full(self) -> bool:
        """Return whether to close a batch now because of its size."""
        return self._weight >= self._target or self.count >= MAX_BATCH_ENTRIES

    def close(self) -> Batch | None:
        """Close a batch of as many of the oldest entries as fit, and return it. Return None when no entry is open.

        The batch replaces the saved entries. The caller writes the batch and removes the saved entries in one
        transaction. This method resets `saved`, so the caller saves the remaining entries again.

        Raises:
            BodyTooLargeError: a single entry does not fit a body.
        """
        if not self.count:
            return None
        count = self._fitting_count()
        while True:
            times, streams, texts = self._join(count)
            try:
                body = self._encode(times, streams, texts)
                break
            except BodyTooLargeError as error:
                if count == 1:
                    raise
                share = error.max_size / error.size
                if error.what == "decoded bytes":
                    self._ceiling = max(int(self._weight_of(count) * share * 0.9), MAX_BODY_BYTES)
                count = max(1, min(count - 1, int(count * share * 0.9)))
        cursor = self._cursor_at(count)
        weight = self._weight_of(count)
        self._drop(count)
        self._learn(weight, len(body))
        return Batch(
            count=count,
            start=min(times),
            end=max(times),
            raw=utf8_bytes(texts),
            gaps=_count_gaps(streams, texts),
            cursor=cursor,
            digest=digest_of(body),
            body=body,
        )

    def unsaved(self, *, each: bool = False) -> SavedEntries | None:
        """Return the open entries that are not on disk yet, or None. Write them, then call `mark_saved`.

        Args:
            each: also return the cursor after every entry.
        """
        if self.saved >= self.count:
            return None
        times, streams, texts = self._join(self.count, self.saved)
        cursors = [self._cursor_at(index) for index in range(self.saved + 1, self.count + 1)] if each else None
        return SavedEntries(times, streams, texts, self._cursor_at(self.count), cursors)

    def mark_saved(self) -> None:
        """Record that all open entries are on disk."""
        self.saved = self.count

    def clear(self) -> None:
        """Discard the open entries: they will be read again from another position."""
        self._segments.clear()
        self._weight = self.count = self.saved = 0

    def _learn(self, weight: int, size: int) -> None:
        """Set the target of the next batch by how this one compressed.

        Small batches say little, because a body has fixed costs.
        """
        self._ceiling = min(LARGEST_TARGET, int(self._ceiling * 1.1) + 1)
        if size * 4 < MAX_BODY_BYTES and weight < self._target:
            return
        wanted = int(weight * MAX_BODY_BYTES * FILL / size)
        self._target = max(MAX_BODY_BYTES, min(wanted, self._target * 3, self._ceiling))

    def _fitting_count(self) -> int:
        """Return how many of the oldest entries weigh no more than the target; at least one."""
        room, count = self._target, 0
        for segment in self._segments:
            weight = segment.weight
            if weight > room:
                count += bisect_right(segment.weights, segment.base + room, lo=segment.begin) - segment.begin
                break
            room -= weight
            count += len(segment)
        return max(1, min(count, MAX_BATCH_ENTRIES))

    def _join(self, end: int, begin: int = 0) -> tuple[list[int], str, list[str]]:
        times: list[int] = []
        streams: list[str] = []
        texts: list[str] = []
        for segment in self._segments:
            length = len(segment)
            if begin < length:
                low, high = segment.begin + begin, segment.begin + min(end, length)
                times += segment.chunk.times[low:high]
                texts += segment.chunk.texts[low:high]
                streams.append(segment.chunk.streams[low:high])
            begin, end = max(0, begin - length), end - length
            if end <= 0:
                break
        return times, "".join(streams), texts

    def _weight_of(self, count: int) -> int:
        weight = 0
        for segment in self._segments:
            if count <= len(segment):
                return weight + (segment.weights[segment.begin + count - 1] - segment.base if count else 0)
            weight += segment.weight
            count -= len(segment)
        return weight

    def _cursor_at(self, count: int) -> str:
        for segment in self._segments:
            if count <= len(segment):
                return segment.chunk.cursor_at(segment.begin + count)
            count -= len(segment)
        raise IndexError(count)

    def _drop(self, count: int) -> None:
        self._weight -= self._weight_of(count)
        self.count -= count
        self.saved = 0
        while count:
            segment = self._segments[0]
            if count < len(segment):
                segment.begin += count
                break
            count -= len(segment)
            self._segments.popleft()


def _count_gaps(streams: str, texts: Sequence[str]) -> int:
    """Return the number of gap entries. Most batches have no system entry at all."""
    if "s" not in streams:
        return 0
    return sum(stream == "s" and '"event":"gap"' in text for stream, text in zip(streams, texts, strict=True))
