"""A job as the session knows it, with its queue of batches. Their bodies are in the spool."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import Watch, Watched

from .job_state import JobState

BATCH_FIELDS_BYTES = 340
"""A batch's JSON without body and cursor: names, punctuation, and every number at its longest."""


@dataclass(slots=True)
class QueuedBatch:
    """A batch in a job's queue, without its body."""

    id: int
    """Its number in the spool, which rises along the queue."""
    count: int
    """How many entries it holds."""
    raw: int
    """UTF-8 bytes of its texts."""
    gaps: int
    """How many of its entries are gaps."""
    start: int
    """Time of its earliest entry, in microseconds since 1970."""
    end: int
    """Time of its latest entry, in microseconds since 1970."""
    digest: str
    size: int
    """Upper bound of the bytes that its JSON takes in an envelope."""
    gap: bool = False
    """Whether the agent made it in place of entries that it had to drop."""
    first: int | None = None
    """Its first sequence; None until it is sent for the first time."""


def wire_size(body_bytes: int, cursor: str) -> int:
    """Return an upper bound of the bytes that a batch takes in an envelope.

    Args:
        body_bytes: the length of its compressed body, which the envelope carries in base64.
        cursor: its cursor.
    """
    return BATCH_FIELDS_BYTES + len(cursor) + (body_bytes + 2) // 3 * 4


@dataclass(slots=True)
class JobRecord:
    """Everything that the session knows of a job. Moments are in seconds of the monotonic clock."""

    id: str
    container: Container
    life: LifeCycle
    tip: int = 0
    """Sequence of the last acknowledged entry."""
    digest: str | None = None
    """Digest of the last acknowledged batch."""
    bytes: int = 0
    gaps: int = 0
    last: int | None = None
    """Time of the last acknowledged entry, in microseconds since 1970."""
    ended: bool = False
    """Whether nothing more will be queued."""
    state: JobState = JobState.CLOSED
    queue: deque[QueuedBatch] = field(default_factory=deque)
    link: int | None = None
    """The connection that it was opened on; None while it is closed."""
    request: str | None = None
    """Id of the request that it waits for; None unless OPENING or SENDING."""
    attempt: int = 0
    """How often the current step has failed in a row."""
    not_before: float = 0.0
    """When the next attempt is allowed."""
    watched_until: float = 0.0
    interval_s: float = 0.0
    """The least time between two of its batches while it is watched, in seconds."""
    sent_at: float = float("-inf")
    """When its last batch was sent."""
    reported: tuple[LifeCycle, int | None] | None = None
    """Life and tip in the last status that the cloud confirmed."""
    report_pending: tuple[LifeCycle, int | None] | None = None
    """Life and tip in the status that is still unanswered."""
    opened_as: Container | None = None
    """The container in the last `open`, the only message that carries it."""
    report_at: float | None = None
    """When its growth will be reported; None when no report is due."""

    def watch(self, message: Watch | Watched, now: float) -> None:
        """Record that somebody watches the job.

        Args:
            message: for how long, and how often a batch may be sent.
            now: the current moment.
        """
        self.watched_until = now + message.ttl / 1000.0
        self.interval_s = message.interval / 1000.0
