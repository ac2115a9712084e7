"""Batches that the wire's model refuses: each is set aside in the dead-letter folder, and a gap takes its place."""

from __future__ import annotations

from dataclasses import replace

import structlog

from logferry_protocol.events import GapReason

from ..core.batching.entries import Batch
from ..core.batching.gap import MissingEntries, build_gap_batch, measure_missing
from ..core.session.envelope import refusal
from ..edge.dead_letters import DeadLetters
from ..edge.metrics import Metrics
from ..edge.spool import Stored

log = structlog.get_logger(__name__)


class Quarantine:
    """Keeps refused batches for a person, and makes the gaps that stand for them."""

    def __init__(self, dead: DeadLetters, metrics: Metrics) -> None:
        self._dead, self._metrics = dead, metrics

    def refused(self, job_id: str, batch: Batch) -> str | None:
        """Return why no message can carry a batch; None when one can."""
        return refusal(job_id, batch)

    def set_aside(
        self, stored: Stored, reason: str, message: str, cursor: str | None = None
    ) -> tuple[Batch, MissingEntries]:
        """Keep a batch, and return the gap that takes its place, with what it stands for.

        Args:
            stored: the batch.
            reason: why it is refused, in a word.
            message: the same for a person.
            cursor: where reading was before it, for a batch whose own cursor is refused.
        """
        where = self._dead.keep(stored, reason, message)
        missing = measure_missing(stored.batch)
        kind: GapReason = "quota" if reason == "quota" else "rejected"
        gap = build_gap_batch(kind, missing, stored.batch.cursor, f"{reason}: {message}".rstrip(": "))
        if refusal(stored.job, gap) is not None:
            gap = replace(gap, cursor=cursor or "")
        self._metrics.dropped(kind, missing.count)
        log.error("batch_set_aside", job=stored.job, first=stored.first, reason=reason, why=message, kept=str(where))
        return gap, missing
