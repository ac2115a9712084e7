"""What the last run left in the spool is taken up again."""

from __future__ import annotations

from ..core.batcher import split_cursor
from ..core.chunk import Chunk, Job
from ..core.job import JobState
from ..core.session import Session
from ..edge.disk import Spool
from .gathering import Gathering
from .intake import Intake
from .lanes import Lanes
from .shelf import Shelf


def restore(
    spool: Spool, *, lanes: Lanes, shelf: Shelf, gathering: Gathering, session: Session, intake: Intake, now: float
) -> None:
    """Bring jobs, queued batches and open batches back, and tell readers where to go on."""
    states: dict[str, JobState] = {}
    last: dict[str, int] = {}
    for stored in spool.jobs():
        lane = lanes.restore(stored)
        states[lane.id] = JobState(
            lane.id,
            lane.container,
            lane.life,
            tip=stored.tip,
            digest=stored.digest,
            bytes=stored.bytes,
            gaps=stored.gaps,
            last=stored.last,
            ended=stored.ended,
        )
        last[lane.id] = stored.last or 0
    for queued in spool.queue():
        ref = shelf.restored(queued)
        last[queued.job] = max(last.get(queued.job, 0), queued.batch.end)
        if (state := states.get(queued.job)) is not None:
            state.queue.append(ref)
    # Before their open batches come back: what is closed of these is queued.
    for state in states.values():
        session.add(state, now)
    known = lanes.by_id
    places = {lane.id: lane.cursor for lane in known.values()}
    opened: dict[str, list[Chunk]] = {}
    for job_id, piece in spool.pieces():
        if job_id in known:
            opened.setdefault(job_id, []).append(piece.chunk(places[job_id]))
            places[job_id] = piece.cursor
            last[job_id] = max(last[job_id], *piece.times)
    for job_id, chunks in opened.items():
        gathering.restore(known[job_id], chunks, now)
    for lane in known.values():
        if lane.processor is not None:
            lane.processor.begin(places[lane.id])
    for job_id, place, held in spool.held():
        # What is left out behind a cursor is looked at when it is read again (the settings of merging were changed in
        # between): only then it is known what an entry behind it is in.
        if job_id not in known or places[job_id] != place or split_cursor(place)[1]:
            gathering.drop_held(job_id)
            continue
        gathering.restore_held(known[job_id], held.chunk(place), now)
        places[job_id] = held.cursor
        last[job_id] = max(last[job_id], *held.times)
    intake.restore(
        (Job(lane.id, lane.container, lane.life), places[lane.id], last[lane.id] or None)
        for lane in known.values()
        if not lane.ended
    )
