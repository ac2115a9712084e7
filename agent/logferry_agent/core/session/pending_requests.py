"""Requests that wait for their answers, each for so long, and those lately given up, whose answer may still come."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Literal

from .timers import Timers

LATE_KEPT = 256
"""Timed out requests whose late answers are still understood."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, on which connection."""

    link: int
    kind: Literal["open", "ingest", "status", "ping"]
    jobs: tuple[str, ...]
    batches: tuple[int, ...] = ()
    """The batch of each job, for an envelope."""


class Requests:
    """Everything asked and not yet answered, by id."""

    def __init__(self, prefix: str, timers: Timers, timeout_s: float) -> None:
        """prefix: tells this run's ids from those of any other."""
        self._prefix, self._timers, self._timeout_s = prefix, timers, timeout_s
        self._ids = count(1)
        self._waiting: dict[str, Request] = {}
        self._late: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def envelopes(self) -> int:
        """Envelopes among them."""
        return sum(request.kind == "ingest" for request in self._waiting.values())

    @property
    def links(self) -> set[int]:
        """Connections that an answer of weight is still to come on."""
        return {request.link for request in self._waiting.values() if request.kind != "ping"}

    def ask(self, request: Request, now: float) -> str:
        """Wait for a request's answer; its id."""
        request_id = f"{self._prefix}-{next(self._ids)}"
        self._waiting[request_id] = request
        self._timers.set(now + self._timeout_s, "answer", request_id)
        return request_id

    def answered(self, request_id: str) -> Request | None:
        """Its answer came; None when nobody waits for it."""
        return self._waiting.pop(request_id, None)

    def answered_late(self, request_id: str) -> Request | None:
        """The answer of an envelope that was given up came after all."""
        return self._late.pop(request_id, None)

    def give_up(self, request_id: str) -> Request | None:
        """Its answer did not come in time; None when it did."""
        request = self._waiting.pop(request_id, None)
        if request is not None and request.kind == "ingest":
            self._late[request_id] = request
            while len(self._late) > LATE_KEPT:
                del self._late[next(iter(self._late))]
        return request

    def give_up_all(self, link: int) -> list[Request]:
        """No answer comes on a connection any more."""
        gone = [request_id for request_id, request in self._waiting.items() if request.link == link]
        return [request for request_id in gone if (request := self.give_up(request_id)) is not None]
