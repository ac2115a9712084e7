"""Where a job stands with the cloud, and what moves it: the table that `core/session/scheduler.py` moves it by.

Everything that moves a job is here; an illegal move is a KeyError, which is a bug of ours.

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


class Phase(Enum):
    """Where a job stands with the cloud."""

    CLOSED = "closed"
    OPENING = "opening"
    READY = "ready"
    SENDING = "sending"
    PARKED = "parked"
    GONE = "gone"


class Event(Enum):
    """What moves a job."""

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


TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.CLOSED: {Event.OPEN: Phase.OPENING, Event.LOST: Phase.CLOSED},
    Phase.OPENING: {
        Event.OPENED: Phase.READY,
        Event.RETRY: Phase.CLOSED,
        Event.LOST: Phase.CLOSED,
        Event.REFUSED: Phase.PARKED,
        Event.DELETED: Phase.GONE,
    },
    Phase.READY: {
        Event.SEND: Phase.SENDING,
        Event.STORED: Phase.READY,
        Event.REOPEN: Phase.CLOSED,
        Event.LOST: Phase.CLOSED,
    },
    Phase.SENDING: {
        Event.STORED: Phase.READY,
        Event.ASIDE: Phase.READY,
        Event.RETRY: Phase.READY,
        Event.REOPEN: Phase.CLOSED,
        Event.LOST: Phase.CLOSED,
        Event.REFUSED: Phase.PARKED,
        Event.DELETED: Phase.GONE,
    },
    Phase.PARKED: {Event.DUE: Phase.CLOSED, Event.LOST: Phase.PARKED},
    Phase.GONE: {Event.LOST: Phase.GONE},
}
