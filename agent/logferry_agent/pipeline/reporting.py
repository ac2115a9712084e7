"""The pipeline's state for a person and for metrics; read from other threads than its own, so a moment old."""

from __future__ import annotations

from typing import Any

from ..core.session.session import Session
from .job_buffers import Lane, Lanes


def lag(lanes: Lanes, session: Session) -> list[tuple[str, str, int | None]]:
    """(job, name, time of its oldest entry that is not acknowledged)."""
    return [(lane.id, lane.container.name, _waiting_since(lane, session)) for lane in list(lanes.by_id.values())]


def report(lanes: Lanes, session: Session, now: float) -> list[dict[str, Any]]:
    """Every job for a person."""
    jobs = []
    for lane in list(lanes.by_id.values()):
        if (state := session.jobs.get(lane.id)) is None:
            continue
        jobs.append(
            {
                "job": lane.id,
                "name": lane.container.name,
                "state": lane.life.state,
                "source": lane.life.source,
                "phase": state.state.value,
                "tip": state.tip,
                "waiting": sum(ref.count for ref in list(state.queue)) + lane.batcher.count,
                "waiting_since": _waiting_since(lane, session),
                "watched": now < state.watched_until,
                "problem": lane.problem,
            }
        )
    return jobs


def _waiting_since(lane: Lane, session: Session) -> int | None:
    state = session.jobs.get(lane.id)
    if state is not None and state.queue:
        return state.queue[0].start
    return lane.batcher.first_time
