"""Gap entries that the pipeline makes in place of batches that it discards."""

from __future__ import annotations

from dataclasses import dataclass

from logferry_protocol.batch import decode_body, encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import BatchError
from logferry_protocol.events import Gap, GapReason, decode_event, encode_event
from logferry_protocol.limits import MAX_TIME_US, MIN_TIME_US

from .entries import Batch


@dataclass(frozen=True, slots=True)
class MissingEntries:
    """The number of missing entries, their bytes, and their first and last time in microseconds since 1970."""

    count: int
    raw: int
    start: int
    end: int

    def __add__(self, other: MissingEntries) -> MissingEntries:
        return MissingEntries(
            self.count + other.count,
            self.raw + other.raw,
            min(self.start, other.start),
            max(self.end, other.end),
        )


def measure_missing(batch: Batch) -> MissingEntries:
    """Return what is missing without a batch: its lines, and the entries that its own gap entries stand for."""
    try:
        columns = decode_body(batch.body)
    except BatchError:
        return MissingEntries(batch.count, batch.raw, batch.start, batch.end)
    count = raw = 0
    for stream, text in zip(columns.streams, columns.texts, strict=True):
        if stream != "s":
            count += 1
            raw += len(text.encode())
        elif isinstance(event := decode_event(text), Gap):
            count += event.count or 0
            raw += event.bytes or 0
    return MissingEntries(count, raw, batch.start, batch.end)


def build_gap_batch(reason: GapReason, missing: MissingEntries, cursor: str, detail: str = "") -> Batch:
    """Return a batch that holds one gap entry.

    Args:
        reason: why the entries are missing.
        missing: the entries that the gap stands for.
        cursor: the cursor after the last of them.
        detail: a sentence for the reader of the job, cut at 512 characters.
    """
    text = encode_event(
        Gap(
            reason=reason,
            start=missing.start,
            end=missing.end,
            count=missing.count or None,
            bytes=missing.raw or None,
            detail=detail[:512],
        )
    )
    time = min(max(missing.end, MIN_TIME_US), MAX_TIME_US)
    body = encode_body([time], "s", [text])
    return Batch(
        count=1,
        start=time,
        end=time,
        raw=len(text.encode()),
        gaps=1,
        cursor=cursor,
        digest=digest_of(body),
        body=body,
    )
