"""What the last run left in the spool is taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import structlog

from logferry_protocol.limits import MAX_COUNT, MAX_SEQUENCE, MAX_TIME_US, MIN_TIME_US

from ..core.batching.cursor import split_cursor
from ..core.batching.entries import Chunk
from ..core.batching.ports import Job
from ..core.session.job_record import JobRecord
from ..core.session.session import Session
from ..edge.spool import Spool
from .intake import Intake
from .job_buffers import Lane, Lanes, is_job_id
from .job_isolation import Isolation
from .open_batches import Gathering
from .quarantine import Quarantine
from .shelf import Shelf

log = structlog.get_logger(__name__)


def restore(
    spool: Spool,
    *,
    lanes: Lanes,
    shelf: Shelf,
    gathering: Gathering,
    session: Session,
    intake: Intake,
    quarantine: Quarantine,
    isolation: Isolation,
    now: float,
) -> None:
    """Bring jobs, queued batches and open batches back, and tell readers where to go on."""
    states: dict[str, JobRecord] = {}
    last: dict[str, int] = {}
    for stored in spool.jobs():
        if not is_job_id(stored.id):
            # No message can carry it, so it would end the pipeline at every start.
            log.error("job_without_id", id=stored.id[:80])
            lanes.forget(stored.id)
            continue
        lane = lanes.restore(stored)
        states[lane.id] = JobRecord(
            lane.id,
            lane.container,
            lane.life,
            tip=_within(stored.tip, MAX_SEQUENCE),
            digest=stored.digest,
            bytes=_within(stored.bytes, MAX_COUNT),
            gaps=_within(stored.gaps, MAX_COUNT),
            last=_time(stored.last),
            ended=stored.ended,
        )
        last[lane.id] = states[lane.id].last or 0
    known = lanes.by_id
    for queued in list(spool.queue()):
        ref = shelf.restored(queued)
        if queued.job not in known:
            continue
        states[queued.job].queue.append(ref)
        last[queued.job] = max(last[queued.job], _within_range(queued.batch.end))
        why = quarantine.refused(queued.job, replace(queued.batch, body=_ANY_BODY))
        if why is not None and (whole := spool.load(ref.id)) is not None:
            # Left by a version that did not look. It would be in the way at every start.
            gap, missing = quarantine.set_aside(whole, "malformed", why)
            shelf.become_gap(known[queued.job], ref, gap, missing)
    # Before their open batches come back: what is closed of these is queued.
    for state in states.values():
        session.add(state, now)
    places = {lane.id: lane.cursor for lane in known.values()}
    _restore_open(spool, places, last, known=known, gathering=gathering, isolation=isolation, now=now)
    for lane in known.values():
        if lane.processor is not None:
            lane.processor.resume_after(places[lane.id])
    for job_id, place, held in spool.held():
        # What is left out behind a cursor is looked at when it is read again (the settings of merging were changed in
        # between): only then it is known what an entry behind it is in.
        if held is None or job_id not in known or places[job_id] != place or split_cursor(place)[1]:
            gathering.drop_held(job_id)
            continue
        isolation.guard(job_id, partial(gathering.restore_held, known[job_id], held.to_chunk(place), now), now)
        if not known[job_id].failures:
            places[job_id] = held.cursor
            last[job_id] = max(last[job_id], *map(_within_range, held.times))
    intake.restore(
        (Job(lane.id, lane.container, lane.life), places[lane.id], last[lane.id] or None)
        for lane in known.values()
        if not lane.ended
    )


def _restore_open(
    spool: Spool,
    places: dict[str, str | None],
    last: dict[str, int],
    *,
    known: Mapping[str, Lane],
    gathering: Gathering,
    isolation: Isolation,
    now: float,
) -> None:
    """Bring open batches back, and move `places` and `last` behind them.

    Of one that is damaged nothing is believed: its lines are read again from behind the last closed batch.
    """
    opened: dict[str, list[Chunk]] = {}
    damaged: set[str] = set()
    before = dict(places)
    for job_id, piece in spool.pieces():
        if job_id not in known:
            continue
        if piece is None:
            log.warning("open_batch_damaged", job=job_id)
            damaged.add(job_id)
            continue
        opened.setdefault(job_id, []).append(piece.to_chunk(places[job_id]))
        places[job_id] = piece.cursor
        last[job_id] = max(last[job_id], *map(_within_range, piece.times))
    for job_id, chunks in opened.items():
        if job_id not in damaged:
            isolation.guard(job_id, partial(gathering.restore, known[job_id], chunks, now), now)
    for job_id in known:
        if job_id in damaged or known[job_id].failures:
            places[job_id] = before[job_id]
            gathering.drop_pieces(job_id)


_ANY_BODY = b"-"
"""Stands for a body that was not loaded."""


def _within_range(time: int) -> int:
    """The time within the wire's range: another version may have written one that is not."""
    return min(max(time, MIN_TIME_US), MAX_TIME_US)


def _within(number: int, most: int) -> int:
    return min(max(number, 0), most)


def _time(time: int | None) -> int | None:
    return None if time is None else _within_range(time)
