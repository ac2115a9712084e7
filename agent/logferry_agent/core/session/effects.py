"""What the session asks the pipeline to do, as values. `pipeline/effect_runner.py` carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from logferry_protocol.errors import ErrorCode, RejectReason
from logferry_protocol.messages import Open, Ping, Status

from .job_record import QueuedBatch


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a message that carries no batches."""

    link: int
    message: Open | Status | Ping


@dataclass(frozen=True, slots=True)
class SendBatches:
    """Write the sequences of these batches, then send them in one envelope."""

    link: int
    id: str
    batches: tuple[tuple[str, QueuedBatch], ...]
    """Each with the id of its job."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Delete these batches, which are durable in the cloud, and write the job's tip."""

    job: str
    batches: tuple[QueuedBatch, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    """Move a batch that was refused for good to the dead-letter folder; a gap takes its sequence."""

    job: str
    batch: QueuedBatch
    reason: RejectReason
    message: str


@dataclass(frozen=True, slots=True)
class Reread:
    """Drop what is queued, and read on from the cloud's cursor: the cloud holds something else than the spool."""

    job: str
    tip: int
    digest: str | None
    cursor: str | None
    cause: Literal["spool_lost", "conflict", "cloud_lost"]


@dataclass(frozen=True, slots=True)
class Park:
    """Report that the cloud refuses the job for now; the session tries again later.

    The queued batches stay queued, and nothing becomes a gap because of this. Only when the spool is full are the
    oldest unsent batches of such a job dropped first, with a gap in their place (see `pipeline/spool_limits.py`).
    """

    job: str
    reason: ErrorCode | RejectReason
    message: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Drop what is queued of a job that was deleted in the cloud, and everything that is still read of it."""

    job: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Forget a job that has ended: all of it is acknowledged, and the cloud knows that it ended."""

    job: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a connection that is dead or was replaced by a newer one."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """Count something in the metrics, and log it when it is unusual."""

    what: Literal["timeout", "duplicate", "conflict", "rejected", "slow_down", "error"]
    job: str | None = None
    detail: str = ""


Effect = (
    SendMessage
    | SendBatches
    | Acknowledged
    | SetAside
    | Reread
    | Park
    | Discard
    | Forget
    | CloseConnection
    | Observation
)
