"""Compare what the cloud holds of a job with what the spool holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from logferry_protocol.messages import OpenedJob

from .job_record import JobRecord, QueuedBatch

Cause = Literal["spool_lost", "conflict", "cloud_lost"]


@dataclass(frozen=True, slots=True)
class InSync:
    """The cloud holds what the spool says."""

    batches: tuple[QueuedBatch, ...] = ()
    """The head of the queue that the cloud has stored already: it was sent, and its answer was lost."""


@dataclass(frozen=True, slots=True)
class Diverged:
    """The cloud holds something else than the spool. The cloud's tip and cursor count."""

    cause: Cause


def reconcile(job: JobRecord, cloud: OpenedJob) -> InSync | Diverged:
    """Return what the answer to an `open` means for what the spool holds.

    Args:
        job: the job as the spool knows it.
        cloud: the same job in the answer.
    """
    if cloud.tip == job.tip and (cloud.digest is None or job.digest is None or cloud.digest == job.digest):
        return InSync()
    if cloud.tip > job.tip:
        tip, stored = job.tip, []
        for batch in job.queue:
            tip += batch.count
            stored.append(batch)
            if tip >= cloud.tip:
                break
        if tip == cloud.tip and stored and cloud.digest == stored[-1].digest:
            return InSync(tuple(stored))
    if cloud.tip < job.tip:
        return Diverged("cloud_lost")
    if job.tip == 0 and not any(batch.first for batch in job.queue):
        return Diverged("spool_lost")
    return Diverged("conflict")
