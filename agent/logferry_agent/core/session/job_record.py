"""A job as the session knows it, and its queue of batches without their bodies."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import Watch, Watched

from .job_state import Phase

BATCH_FIELDS_BYTES = 340
"""A batch's JSON without body and cursor: names, punctuation, and every number at its longest."""


@dataclass(slots=True)
class Ref:
    """A queued batch, without its body."""

    id: int
    count: int
    raw: int
    gaps: int
    start: int
    end: int
    digest: str
    size: int
    """Bytes of its JSON in an envelope, at most."""
    gap: bool = False
    """Made by the agent in place of what it had to drop."""
    first: int | None = None


def wire_size(body_bytes: int, cursor: str) -> int:
    """What a batch takes in an envelope, at most."""
    return BATCH_FIELDS_BYTES + len(cursor) + (body_bytes + 2) // 3 * 4


@dataclass(slots=True)
class JobState:
    """All that the session knows of a job."""

    id: str
    container: Container
    life: LifeCycle
    tip: int = 0
    digest: str | None = None
    bytes: int = 0
    gaps: int = 0
    last: int | None = None
    ended: bool = False
    """Nothing more will be queued."""
    phase: Phase = Phase.CLOSED
    queue: deque[Ref] = field(default_factory=deque)
    link: int | None = None
    """The connection that it was opened on; None while it is closed."""
    request: str | None = None
    """The request that it waits for; None unless OPENING or SENDING."""
    attempt: int = 0
    not_before: float = 0.0
    watched_until: float = 0.0
    interval_s: float = 0.0
    sent_at: float = float("-inf")
    """When its last batch was sent."""
    noted: tuple[LifeCycle, int | None] | None = None
    """Life and tip as the cloud was last told, and answered."""
    reporting: tuple[LifeCycle, int | None] | None = None
    """Life and tip of the status that is on its way."""
    opened_as: Container | None = None
    """What the cloud was last told of the container itself: only an `open` tells it."""
    report_at: float | None = None
    """When its growth will be reported; None when nothing is due."""

    def watch(self, said: Watch | Watched, now: float) -> None:
        """Somebody looks at it for so long."""
        self.watched_until = now + said.ttl / 1000.0
        self.interval_s = said.interval / 1000.0
