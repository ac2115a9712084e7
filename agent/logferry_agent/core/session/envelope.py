"""Fill the next frame: as many jobs or batches as are due and fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from logferry_protocol.limits import (
    MAX_COUNT,
    MAX_ENVELOPE_BATCHES,
    MAX_FRAME_BYTES,
    MAX_OPEN_JOBS,
    MAX_STATUS_JOBS,
)
from logferry_protocol.messages import Batch as WireBatch
from logferry_protocol.messages import OpenJob, StatusJob

from ..batching.entries import Batch
from .job_record import JobRecord, QueuedBatch

FRAME_ROOM = MAX_FRAME_BYTES - 128
"""Bytes for an envelope's batches; the rest of the frame is for its own fields."""

JOBS_ROOM = MAX_FRAME_BYTES - 256
"""Bytes for the jobs of an `open` or a `status`. The rest is for its own fields: an instance's id may have 128
characters, and a request's id 64."""


def jobs_to_open(jobs: Iterable[JobRecord], now: float) -> list[OpenJob]:
    """Return the jobs of the next `open`, an empty list when none is due."""
    chosen: list[OpenJob] = []
    room = JOBS_ROOM
    for job in jobs:
        if job.not_before > now:
            continue
        entry = OpenJob(job=job.id, container=job.container, life=job.life)
        room -= len(entry.model_dump_json(exclude_none=True).encode()) + 1
        if chosen and (room < 0 or len(chosen) == MAX_OPEN_JOBS):
            break
        chosen.append(entry)
    return chosen


def statuses_to_send(jobs: Iterable[JobRecord]) -> Iterator[list[StatusJob]]:
    """Yield the reports on these jobs, as many in one `status` as fit in its frame.

    A job's `problem` may take six bytes a character, so as few as nine jobs may fit.
    """
    chosen: list[StatusJob] = []
    room = JOBS_ROOM
    for job in jobs:
        entry = status_of(job)
        size = len(entry.model_dump_json(exclude_none=True).encode()) + 1
        if chosen and (size > room or len(chosen) == MAX_STATUS_JOBS):
            yield chosen
            chosen, room = [], JOBS_ROOM
        chosen.append(entry)
        room -= size
    if chosen:
        yield chosen


def batches_to_send(jobs: Iterable[JobRecord], now: float) -> list[tuple[JobRecord, QueuedBatch]]:
    """Return the batches of the next envelope: the head of each job's queue, an empty list when none is due."""
    chosen: list[tuple[JobRecord, QueuedBatch]] = []
    room = FRAME_ROOM
    for job in jobs:
        if job.not_before > now:
            continue
        batch = job.queue[0]
        if chosen and (batch.size > room or len(chosen) == MAX_ENVELOPE_BATCHES):
            continue
        room -= batch.size
        chosen.append((job, batch))
    return chosen


def status_of(job: JobRecord) -> StatusJob:
    """Return the report on a job."""
    bytes_, gaps = min(job.bytes, MAX_COUNT), min(job.gaps, MAX_COUNT)
    return StatusJob(job=job.id, life=job.life, tip=job.tip, bytes=bytes_, gaps=gaps, last=job.last)


def wire_batch(job_id: str, first: int, batch: Batch) -> WireBatch:
    """Return a batch as a message carries it.

    Args:
        job_id: the job that it belongs to.
        first: its first sequence.
        batch: the batch with its body.

    Raises:
        ValidationError: the wire's model refuses it.
    """
    return WireBatch(
        job=job_id,
        first=first,
        count=batch.count,
        start=batch.start,
        end=batch.end,
        raw=batch.raw,
        digest=batch.digest,
        cursor=batch.cursor,
        body=batch.body,
    )
