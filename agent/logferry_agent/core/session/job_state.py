"""A job's state in the session, and the table of transitions that `core/session/scheduler.py` applies.

Every change of a job's state is in this table. A transition that is not in it raises KeyError, which is a bug.

                open                opened                  send
    CLOSED ───────────► OPENING ───────────► READY ⇄─────────────────── SENDING
      ▲  ▲                 │                   │  stored, set aside, retry  │
      │  └──── lost, retry─┤◄──────────────────┴──────── reopen, lost ──────┤
      │ due                ▼ refused                                refused │
      └──────────────── PARKED ◄────────────────────────────────────────────┤
                                             deleted                        ▼
                                        (from OPENING as well)            GONE
"""

from enum import Enum


class JobState(Enum):
    """What the agent and the cloud have agreed on for a job. The values are shown in the agent's status."""

    CLOSED = "closed"
    OPENING = "opening"
    READY = "ready"
    SENDING = "sending"
    PARKED = "parked"
    GONE = "gone"


class JobEvent(Enum):
    """What changes a job's state."""

    OPEN = "open"
    OPENED = "opened"
    SEND = "send"
    STORED = "stored"
    ASIDE = "aside"
    RETRY = "retry"
    REOPEN = "reopen"
    LOST = "lost"
    REFUSED = "refused"
    DELETED = "deleted"
    DUE = "due"


TRANSITIONS: dict[JobState, dict[JobEvent, JobState]] = {
    JobState.CLOSED: {JobEvent.OPEN: JobState.OPENING, JobEvent.LOST: JobState.CLOSED},
    JobState.OPENING: {
        JobEvent.OPENED: JobState.READY,
        JobEvent.RETRY: JobState.CLOSED,
        JobEvent.LOST: JobState.CLOSED,
        JobEvent.REFUSED: JobState.PARKED,
        JobEvent.DELETED: JobState.GONE,
    },
    JobState.READY: {
        JobEvent.SEND: JobState.SENDING,
        JobEvent.STORED: JobState.READY,
        JobEvent.REOPEN: JobState.CLOSED,
        JobEvent.LOST: JobState.CLOSED,
    },
    JobState.SENDING: {
        JobEvent.STORED: JobState.READY,
        JobEvent.ASIDE: JobState.READY,
        JobEvent.RETRY: JobState.READY,
        JobEvent.REOPEN: JobState.CLOSED,
        JobEvent.LOST: JobState.CLOSED,
        JobEvent.REFUSED: JobState.PARKED,
        JobEvent.DELETED: JobState.GONE,
    },
    JobState.PARKED: {JobEvent.DUE: JobState.CLOSED, JobEvent.LOST: JobState.PARKED},
    JobState.GONE: {JobEvent.LOST: JobState.GONE},
}
