"""Decides what becomes of a batch. No clock, no network: what is known comes in as arguments.

What is stored of a job is always a gap-free prefix. A batch is put on the condition that (job, first) is absent, and
only when `first` follows the tip; so the put is a compare-and-set on the tip, and of two writers one loses and is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from logferry_protocol.batch import STREAM_OF, decode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import RETRYABLE, BatchError, RejectReason
from logferry_protocol.events import Gap, decode_event
from logferry_protocol.job import LifeCycle
from logferry_protocol.limits import MAX_SEQUENCE
from logferry_protocol.messages import Batch, Result, short_sentence
from registry.jobs import MAX_CLOCK_AHEAD_MS

from .request_parser import MalformedPart

CLOCK_SKEW_US: Final = MAX_CLOCK_AHEAD_MS * 1000
"""How far a container's clock may be ahead of ours. Docker stamps lines with its host's clock."""

SLOW_DOWN_MS: Final = 1_000
"""What an agent is asked to wait when a table throttles."""


def check_batch(batch: Batch, now_ms: int) -> int:
    """Whether a batch holds what it says, its body unpacked within bounds; how many gaps it tells of.

    Raises:
        BatchError: it does not; the reason says how.
    """
    if digest_of(batch.body) != batch.digest:
        raise BatchError("digest_mismatch", "the digest is not the body's")
    columns = decode_body(batch.body)
    if len(columns) != batch.count:
        raise BatchError("count_mismatch", f"{len(columns)} entries, said to be {batch.count}")
    if sum(map(_utf8_length, columns.texts)) != batch.raw:
        raise BatchError("count_mismatch", "the texts have another size than said")
    if min(columns.times) != batch.start or max(columns.times) != batch.end:
        raise BatchError("time_out_of_range", "start or end is not the entries'")
    if batch.end > now_ms * 1000 + CLOCK_SKEW_US:
        raise BatchError("time_out_of_range", "an entry is more than a day in the future")
    entries = zip(columns.texts, columns.streams, strict=True)
    return sum(STREAM_OF[stream] == "system" and isinstance(decode_event(text), Gap) for text, stream in entries)


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@dataclass(frozen=True, slots=True)
class KnownTip:
    """Where a job stands, as far as is known."""

    tip: int
    fresh: bool
    """Read from the table for this request, and not remembered."""


Step = Literal["put", "compare", "read", "out_of_sequence"]


def next_step(first: int, position: KnownTip | None) -> Step:
    """What to do with a batch that begins at `first`.

    `put` it on condition; `compare` it with what is stored at its place; `read` the position, because none is known or
    the one remembered is behind (another process of this function stored since); or refuse it as `out_of_sequence`.
    """
    if position is None:
        return "read"
    if first == position.tip + 1:
        return "put"
    if first <= position.tip:
        return "compare"
    return "out_of_sequence" if position.fresh else "read"


def stored_result(batch: Batch) -> Result:
    """The batch was not there and is now."""
    return Result(job=batch.job, first=batch.first, outcome="stored", tip=batch.last)


def compared_result(batch: Batch, there: Mapping[str, Any] | None, tip: int | None) -> Result:
    """What a batch is, given what is stored at its place (None: nothing begins there).

    The same digest is the same batch sent again. Anything else is a conflict: a rolled-back disk, or two live agents on
    one engine. A tombstone says that the job was deleted.
    """
    if there is not None and there.get("deleted"):
        return rejected_result(batch, "deleted", "the job was deleted", tip)
    if there is not None and there.get("digest") == batch.digest:
        return Result(job=batch.job, first=batch.first, outcome="duplicate", tip=max(tip or 0, batch.last))
    return Result(job=batch.job, first=batch.first, outcome="conflict", tip=tip)


def rejected_result(batch: Batch, reason: RejectReason, message: str, tip: int | None = None) -> Result:
    """The batch was not stored, and why."""
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
    """The batch is none: it was not even looked at."""
    return Result(
        job=part.job,
        first=part.first,
        outcome="rejected",
        reason=part.reason,
        message=short_sentence(part.detail),
        retry=RETRYABLE[part.reason],
    )


def life_progress(life: LifeCycle, now_ms: int) -> int:
    """The latest moment (ms) of a container's life. Of two lives told with one tip the later has the greater.

    A time that nobody's clock has reached does not count: no later life would have a greater one.
    """
    times = (life.created or 0, life.started or 0, life.ended or 0)
    return max((time for time in times if time <= now_ms + MAX_CLOCK_AHEAD_MS), default=0)


def tip_of(
    record: Mapping[str, Any] | None, last: Mapping[str, Any] | None, archive: Mapping[str, Any] | None = None
) -> int:
    """A job's tip: the greatest of the record's, the last stored batch's and the archive's, as the log table forgets
    with time."""
    from_log = int(last["first"]) + int(last["count"]) - 1 if last and not last.get("deleted") else 0
    known = max(from_log, int((record or {}).get("tip") or 0), int((archive or {}).get("tip") or 0))
    return min(known, MAX_SEQUENCE)


def tip_source(
    record: Mapping[str, Any], last: Mapping[str, Any] | None, archive: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Who knows the batch at the tip: its `first`, `digest` and `cursor` stand there."""
    tip = tip_of(record, last, archive)
    if last is not None and tip_of(None, last) == tip:
        return last
    return archive if tip_of(None, None, archive) == tip else record
