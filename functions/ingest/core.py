"""Decides what happens to a batch. It has no clock and no network: all facts are arguments.

The stored entries of a job are always a gap-free prefix. A batch is put on the condition that (job, first) is absent,
and only when `first` follows the tip. So the put is a compare-and-set on the tip: of two writers one loses, and is
told.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from logferry_protocol.batch import STREAM_OF, decode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import RETRYABLE, BatchError, RejectReason
from logferry_protocol.event_sentences import GapReason
from logferry_protocol.events import Gap, decode_event
from logferry_protocol.job import LifeCycle
from logferry_protocol.limits import MAX_SEQUENCE
from logferry_protocol.messages import Batch, Result, short_sentence
from registry.jobs import MAX_CLOCK_AHEAD_MS

from .request_parser import MalformedPart

CLOCK_SKEW_US: Final = MAX_CLOCK_AHEAD_MS * 1000
"""How far a container's clock may be ahead of the cloud's. Docker stamps lines with its host's clock."""

SLOW_DOWN_MS: Final = 1_000
"""How long an agent is asked to wait when a table throttles, in milliseconds."""


def check_batch(batch: Batch, now_ms: int) -> Counter[GapReason]:
    """Check that a batch holds what it says, decompressing its body within bounds. Return its gaps by reason.

    Raises:
        BatchError: the batch does not hold what it says; the code says how.
    """
    if digest_of(batch.body) != batch.digest:
        raise BatchError("digest_mismatch", "the digest does not match the body")
    columns = decode_body(batch.body)
    if len(columns) != batch.count:
        raise BatchError("count_mismatch", f"the body has {len(columns)} entries, not {batch.count}")
    if sum(map(_utf8_length, columns.texts)) != batch.raw:
        raise BatchError("count_mismatch", "raw does not match the size of the texts")
    if min(columns.times) != batch.start or max(columns.times) != batch.end:
        raise BatchError("time_out_of_range", "start or end does not match the times of the entries")
    if batch.end > now_ms * 1000 + CLOCK_SKEW_US:
        raise BatchError("time_out_of_range", "an entry is more than a day in the future")
    entries = zip(columns.texts, columns.streams, strict=True)
    events = (decode_event(text) for text, stream in entries if STREAM_OF[stream] == "system")
    return Counter(event.reason for event in events if isinstance(event, Gap))


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@dataclass(frozen=True, slots=True)
class KnownTip:
    """A job's tip, as far as it is known."""

    tip: int
    fresh: bool
    """Whether it was read from the table for this request, and is not from the cache."""


Step = Literal["put", "compare", "read", "out_of_sequence"]


def next_step(first: int, position: KnownTip | None) -> Step:
    """Return what to do with a batch.

    - `put`: store it on the condition that nothing is there.
    - `compare`: compare it with the batch at its first sequence.
    - `read`: read the tip first. It is unknown, or the cached one is behind because another process stored since.
    - `out_of_sequence`: refuse it.

    Args:
        first: the batch's first sequence.
        position: the job's tip, if one is known.
    """
    if position is None:
        return "read"
    if first == position.tip + 1:
        return "put"
    if first <= position.tip:
        return "compare"
    return "out_of_sequence" if position.fresh else "read"


def stored_result(batch: Batch) -> Result:
    """Return the result of a batch that was just stored."""
    return Result(job=batch.job, first=batch.first, outcome="stored", tip=batch.last)


def compared_result(batch: Batch, existing: Mapping[str, Any] | None, tip: int | None) -> Result:
    """Return the result of a batch whose sequence is not after the tip.

    The same digest means that the batch was sent again. Any other batch is a conflict: a disk was rolled back, or two
    agents run on one engine. A tombstone means that the job was deleted.

    Args:
        batch: the agent's batch.
        existing: the item stored at (job, first), if there is one.
        tip: the job's tip, where it is known.
    """
    if existing is not None and existing.get("deleted"):
        return rejected_result(batch, "deleted", "the job was deleted", tip)
    if existing is not None and existing.get("digest") == batch.digest:
        return Result(job=batch.job, first=batch.first, outcome="duplicate", tip=max(tip or 0, batch.last))
    return Result(job=batch.job, first=batch.first, outcome="conflict", tip=tip)


def rejected_result(batch: Batch, reason: RejectReason, message: str, tip: int | None = None) -> Result:
    """Return the result of a batch that was not stored, with the reason."""
    return Result(
        job=batch.job,
        first=batch.first,
        outcome="rejected",
        tip=tip,
        reason=reason,
        message=short_sentence(message),
        retry=RETRYABLE[reason],
    )


def malformed_result(part: MalformedPart) -> Result:
    """Return the result of a batch that could not be read."""
    return Result(
        job=part.job,
        first=part.first,
        outcome="rejected",
        reason=part.reason,
        message=short_sentence(part.detail),
        retry=RETRYABLE[part.reason],
    )


def life_progress(life: LifeCycle, now_ms: int) -> int:
    """Return the latest time in a container's life, in milliseconds.

    Of two states with the same tip, the later state has the greater time. A time that no clock has reached does not
    count: no later state could exceed it.
    """
    times = (life.created or 0, life.started or 0, life.ended or 0)
    return max((time for time in times if time <= now_ms + MAX_CLOCK_AHEAD_MS), default=0)


def tip_of(
    record: Mapping[str, Any] | None, last: Mapping[str, Any] | None, archive: Mapping[str, Any] | None = None
) -> int:
    """Return a job's tip: the greatest of the record's, the last batch's and the archive's. The log table forgets."""
    from_log = int(last["first"]) + int(last["count"]) - 1 if last and not last.get("deleted") else 0
    known = max(from_log, int((record or {}).get("tip") or 0), int((archive or {}).get("tip") or 0))
    return min(known, MAX_SEQUENCE)


def tip_source(
    record: Mapping[str, Any], last: Mapping[str, Any] | None, archive: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the item that has `first`, `digest` and `cursor` of the batch at the tip."""
    tip = tip_of(record, last, archive)
    if last is not None and tip_of(None, last) == tip:
        return last
    return archive if tip_of(None, None, archive) == tip else record
