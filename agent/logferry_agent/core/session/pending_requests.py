"""Requests that wait for their answers, and those that timed out lately, whose answers may still arrive."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Literal

from .timers import Timers

LATE_KEPT = 256
"""How many timed-out requests are kept, so that their late answers are still understood."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, and on which connection."""

    link: int
    kind: Literal["open", "ingest", "status", "ping"]
    jobs: tuple[str, ...]
    batches: tuple[int, ...] = ()
    """For an envelope: the number of each job's batch."""


class PendingRequests:
    """The unanswered requests, by id."""

    def __init__(self, prefix: str, timers: Timers, timeout_s: float) -> None:
        """Start without requests.

        Args:
            prefix: begins every request's id, and distinguishes this run of the agent from others.
            timers: where each request's timeout is set.
            timeout_s: how long to wait for an answer, in seconds.
        """
        self._prefix, self._timers, self._timeout_s = prefix, timers, timeout_s
        self._ids = count(1)
        self._waiting: dict[str, Request] = {}
        self._late: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def envelopes(self) -> int:
        """How many of them are envelopes."""
        return sum(request.kind == "ingest" for request in self._waiting.values())

    @property
    def links(self) -> set[int]:
        """The connections on which an answer other than a pong is expected."""
        return {request.link for request in self._waiting.values() if request.kind != "ping"}

    def add(self, request: Request, now: float) -> str:
        """Record a request that is about to be sent, and return its id."""
        request_id = f"{self._prefix}-{next(self._ids)}"
        self._waiting[request_id] = request
        self._timers.set(now + self._timeout_s, "answer", request_id)
        return request_id

    def answered(self, request_id: str) -> Request | None:
        """Remove and return the request that was answered; None when it is not pending."""
        return self._waiting.pop(request_id, None)

    def answered_late(self, request_id: str) -> Request | None:
        """Remove and return the timed-out envelope that was answered after all; None when it is not known."""
        return self._late.pop(request_id, None)

    def give_up(self, request_id: str) -> Request | None:
        """Remove and return a request that timed out; None when it was answered."""
        request = self._waiting.pop(request_id, None)
        if request is not None and request.kind == "ingest":
            self._late[request_id] = request
            while len(self._late) > LATE_KEPT:
                del self._late[next(iter(self._late))]
        return request

    def give_up_all(self, link: int) -> list[Request]:
        """Remove and return the requests of a connection that is gone."""
        gone = [request_id for request_id, request in self._waiting.items() if request.link == link]
        return [request for request_id in gone if (request := self.give_up(request_id)) is not None]
