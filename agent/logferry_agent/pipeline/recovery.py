"""Take up again what the last run left in the spool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import structlog

from logferry_protocol.limits import MAX_COUNT, MAX_SEQUENCE, MAX_TIME_US, MIN_TIME_US

from ..core.batching.cursor import split_cursor
from ..core.batching.entries import Chunk
from ..core.batching.ports import Job
from ..core.session.job_record import JobRecord
from ..core.session.refused_batches import refusal
from ..core.session.session import Session
from .batch_queue import BatchQueue
from .job_buffers import JobBuffer, JobBuffers, is_job_id
from .open_batches import OpenBatches

log = structlog.get_logger(__name__)

Guard = Callable[[str, Callable[[], None], float], None]
"""Does something for a job, and keeps a failure of it from the other jobs (see `job_isolation.py`)."""


def recover(
    queue: BatchQueue, buffers: JobBuffers, open_batches: OpenBatches, session: Session, *, guard: Guard, now: float
) -> list[tuple[Job, str | None, int | None]]:
    """Bring back jobs, queued batches and open batches.

    Args:
        queue: holds the spool.
        buffers: takes the jobs.
        open_batches: takes the open batches.
        session: takes the jobs with their queues.
        guard: parks a job that fails.
        now: the current moment.

    Returns:
        The jobs that have not ended, each with the cursor after its last entry and the latest time before that.
    """
    records: dict[str, JobRecord] = {}
    latest: dict[str, int] = {}
    for stored in queue.spool.jobs():
        if not is_job_id(stored.id):
            # No message can carry it, so it would end the pipeline at every start.
            log.error("job_without_id", id=stored.id[:80])
            buffers.forget(stored.id)
            continue
        buffer = buffers.restore(stored)
        records[buffer.id] = JobRecord(
            buffer.id,
            buffer.container,
            buffer.life,
            tip=_within(stored.tip, MAX_SEQUENCE),
            digest=stored.digest,
            bytes=_within(stored.bytes, MAX_COUNT),
            gaps=_within(stored.gaps, MAX_COUNT),
            last=_time(stored.last),
            ended=stored.ended,
        )
        latest[buffer.id] = records[buffer.id].last or 0
    known = buffers.by_id
    for stored_batch, batch in queue.load():
        job_id = stored_batch.job
        if job_id not in known:
            continue
        records[job_id].queue.append(batch)
        latest[job_id] = max(latest[job_id], _within_range(stored_batch.batch.end))
        if (why := refusal(job_id, replace(stored_batch.batch, body=_ANY_BODY))) is not None:
            # Left by a version that did not check. It would stop the job at every start.
            queue.set_aside(job_id, batch, "malformed", why, now)
    # Before their open batches come back, because what is closed of these is queued.
    for record in records.values():
        session.add(record, now)
    cursors = {buffer.id: buffer.cursor for buffer in known.values()}
    _recover_open(queue, cursors, latest, known=known, open_batches=open_batches, guard=guard, now=now)
    for buffer in known.values():
        if buffer.processor is not None:
            buffer.processor.resume_after(cursors[buffer.id])
    for job_id, cursor, held in queue.spool.held():
        # A cursor with entries to leave out means that the settings of merging were changed in between. Those entries
        # are processed when they are read again, and only then is it known what the held entry belongs to.
        if held is None or job_id not in known or cursors[job_id] != cursor or split_cursor(cursor)[1]:
            queue.drop_held(job_id)
            continue
        guard(job_id, partial(open_batches.restore_held, known[job_id], held.to_chunk(cursor), now), now)
        if not known[job_id].failures:
            cursors[job_id] = held.cursor
            latest[job_id] = max(latest[job_id], *map(_within_range, held.times))
    return [
        (Job(buffer.id, buffer.container, buffer.life), cursors[buffer.id], latest[buffer.id] or None)
        for buffer in known.values()
        if not buffer.ended
    ]


def _recover_open(
    queue: BatchQueue,
    cursors: dict[str, str | None],
    latest: dict[str, int],
    *,
    known: Mapping[str, JobBuffer],
    open_batches: OpenBatches,
    guard: Guard,
    now: float,
) -> None:
    """Bring open batches back, and move `cursors` and `latest` behind them.

    Nothing of a damaged open batch is used: its lines are read again from behind the last closed batch.
    """
    opened: dict[str, list[Chunk]] = {}
    damaged: set[str] = set()
    before = dict(cursors)
    for job_id, piece in queue.spool.pieces():
        if job_id not in known:
            continue
        if piece is None:
            log.warning("open_batch_damaged", job=job_id)
            damaged.add(job_id)
            continue
        opened.setdefault(job_id, []).append(piece.to_chunk(cursors[job_id]))
        cursors[job_id] = piece.cursor
        latest[job_id] = max(latest[job_id], *map(_within_range, piece.times))
    for job_id, chunks in opened.items():
        if job_id not in damaged:
            guard(job_id, partial(open_batches.restore, known[job_id], chunks, now), now)
    for job_id in known:
        if job_id in damaged or known[job_id].failures:
            cursors[job_id] = before[job_id]
            queue.drop_pieces(job_id)


_ANY_BODY = b"-"
"""Stands for a body that was not loaded."""


def _within_range(time: int) -> int:
    """Return the time within the wire's range, because another version may have written one that is outside."""
    return min(max(time, MIN_TIME_US), MAX_TIME_US)


def _within(number: int, most: int) -> int:
    return min(max(number, 0), most)


def _time(time: int | None) -> int | None:
    return None if time is None else _within_range(time)
