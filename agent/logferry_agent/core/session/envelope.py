"""What goes into the next frame: as many jobs as are due and fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

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
from .job_record import JobState, Ref

FRAME_ROOM = MAX_FRAME_BYTES - 128
"""What an envelope's batches may come to; the rest is its own fields."""

JOBS_ROOM = MAX_FRAME_BYTES - 256
"""What the jobs of an `open` or a `status` may come to; the rest is its own fields, of which an instance's id may have
128 characters and a request's 64."""


def jobs_to_open(jobs: Iterable[JobState], now: float) -> list[OpenJob]:
    """The jobs of the next `open`; none when none is due."""
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


def statuses_to_send(jobs: Iterable[JobState]) -> Iterator[list[StatusJob]]:
    """Yield what to say of all these jobs, as many in one `status` as its frame takes.

    A job's `problem` may take six bytes a character, so that nine jobs may be all that fit.
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


def batches_to_send(jobs: Iterable[JobState], now: float) -> list[tuple[JobState, Ref]]:
    """The batches of the next envelope, the head of each job's queue; none when none is due."""
    chosen: list[tuple[JobState, Ref]] = []
    room = FRAME_ROOM
    for job in jobs:
        if job.not_before > now:
            continue
        ref = job.queue[0]
        if chosen and (ref.size > room or len(chosen) == MAX_ENVELOPE_BATCHES):
            continue
        room -= ref.size
        chosen.append((job, ref))
    return chosen


def status_of(job: JobState) -> StatusJob:
    """What a status says of a job."""
    bytes_, gaps = min(job.bytes, MAX_COUNT), min(job.gaps, MAX_COUNT)
    return StatusJob(job=job.id, life=job.life, tip=job.tip, bytes=bytes_, gaps=gaps, last=job.last)


def wire_batch(job_id: str, first: int, batch: Batch) -> WireBatch:
    """Return a batch as a message carries it.

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


def refusal(job_id: str, batch: Batch) -> str | None:
    """Return why the wire's model refuses a batch, whatever its sequence; None when it does not."""
    try:
        wire_batch(job_id, 1, batch)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return ": ".join(filter(None, (".".join(map(str, found["loc"])), found["msg"])))[:200]
    return None
