"""What the last run left in the spool is taken up again."""

from __future__ import annotations

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
    for queued in spool.queue():
        ref = shelf.restored(queued)
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
    for job_id, chunks in opened.items():
        gathering.restore(known[job_id], chunks, now)
    intake.restore(
        (Job(lane.id, lane.container, lane.life), places[lane.id]) for lane in known.values() if not lane.ended
    )
