"""Batches that the wire's model refuses, and the gaps that take their place."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from logferry_protocol.errors import first_error
from logferry_protocol.events import GapReason

from ..batching.entries import Batch
from ..batching.gap import MissingEntries, build_gap_batch, measure_missing
from .envelope import wire_batch


def refusal(job_id: str, batch: Batch) -> str | None:
    """Return why the wire's model refuses a batch under any sequence; None when it accepts it."""
    try:
        wire_batch(job_id, 1, batch)
    except ValidationError as error:
        return first_error(error)[:200]
    return None


def gap_for_refused(
    job_id: str, batch: Batch, reason: str, message: str, cursor: str | None
) -> tuple[Batch, MissingEntries, GapReason]:
    """Return the gap that takes a refused batch's place.

    Args:
        job_id: the job that the batch belongs to.
        batch: the batch with its body.
        reason: why it is refused, as one of the wire's words.
        message: the same in a sentence.
        cursor: the job's cursor before the batch, for a batch whose own cursor is refused.

    Returns:
        The gap, what it stands for, and its reason.
    """
    missing = measure_missing(batch)
    kind: GapReason = "quota" if reason == "quota" else "rejected"
    gap = build_gap_batch(kind, missing, batch.cursor, f"{reason}: {message}".rstrip(": "))
    if refusal(job_id, gap) is not None:
        gap = replace(gap, cursor=cursor or "")
    return gap, missing, kind
