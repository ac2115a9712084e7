"""Where the cloud stands with a job, compared with where the spool does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from logferry_protocol.messages import OpenedJob

from .job_record import JobState, Ref

Cause = Literal["spool_lost", "conflict", "cloud_lost"]


@dataclass(frozen=True, slots=True)
class Stored:
    """The cloud holds the head of the queue already: it was sent, and its answer was lost. Empty: they agree."""

    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Differs:
    """The cloud holds something else than the spool: its place counts."""

    cause: Cause


def compare(job: JobState, cloud: OpenedJob) -> Stored | Differs:
    """What the answer to an `open` means for what the spool holds."""
    if cloud.tip == job.tip and (cloud.digest is None or job.digest is None or cloud.digest == job.digest):
        return Stored()
    if cloud.tip > job.tip:
        tip, known = job.tip, []
        for ref in job.queue:
            tip += ref.count
            known.append(ref)
            if tip >= cloud.tip:
                break
        if tip == cloud.tip and known and cloud.digest == known[-1].digest:
            return Stored(tuple(known))
    if cloud.tip < job.tip:
        return Differs("cloud_lost")
    if job.tip == 0 and not any(ref.first for ref in job.queue):
        return Differs("spool_lost")
    return Differs("conflict")
