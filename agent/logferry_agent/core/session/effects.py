"""What the session asks the shell to do, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from logferry_protocol.errors import ErrorCode, RejectReason
from logferry_protocol.messages import Open, Ping, Status

from .job_record import Ref


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message."""

    link: int
    message: Open | Status | Ping


@dataclass(frozen=True, slots=True)
class Ship:
    """Write the sequences of these batches, then send them in one envelope."""

    link: int
    id: str
    batches: tuple[tuple[str, Ref], ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """These batches are durable in the cloud: delete them, write the job's tip."""

    job: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A batch was refused for good: keep it in the dead-letter folder; a gap takes its sequence."""

    job: str
    ref: Ref
    reason: RejectReason
    message: str


@dataclass(frozen=True, slots=True)
class Reread:
    """The cloud holds something else than the spool: drop what is queued, and read on from the cloud's cursor."""

    job: str
    tip: int
    digest: str | None
    cursor: str | None
    cause: Literal["spool_lost", "conflict", "cloud_lost"]


@dataclass(frozen=True, slots=True)
class Park:
    """The cloud refuses the job for now: say so, and try again later.

    What is queued stays queued. Where the spool is full, it is the first to become a gap.
    """

    job: str
    reason: ErrorCode | RejectReason
    message: str


@dataclass(frozen=True, slots=True)
class Discard:
    """The job was deleted in the cloud: drop what is queued and all that still comes."""

    job: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The job ended, all of it is acknowledged, and the cloud knows."""

    job: str


@dataclass(frozen=True, slots=True)
class Hang:
    """Close a connection: it is dead, or its successor has taken over."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Something for metrics and the log."""

    what: Literal["timeout", "duplicate", "conflict", "rejected", "slow_down", "error"]
    job: str | None = None
    detail: str = ""


Effect = Send | Ship | Acknowledged | SetAside | Reread | Park | Discard | Forget | Hang | Counted
