"""Sends frames to many connections at once, so that a slow viewer never holds up the others."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from aws_lambda_powertools import Logger

from logferry_protocol.messages import Expired, encode
from registry.posting import ConnectionBusyError, ConnectionGoneError, Post

from . import core
from .core import Subscriber
from .store import Store

RETRIES_S: Final = (0.05, 0.2, 0.5)
"""Pauses before each further attempt at one viewer, before jitter: under a second in all."""

CREDENTIAL_MEMORY_MS: Final = 5_000
"""How long what was read of a credential is believed. A revocation also closes connections by itself."""

Outcome = Literal["sent", "gone", "expired", "lagging", "left_alone"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, so that tests have their own."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


class Delivery:
    """Sends to subscribers, and sees to those who are gone, expired or slow."""

    def __init__(self, store: Store, viewers: Post, executor: Executor, logger: Logger, clock: Clock) -> None:
        self._store, self._post, self._executor = store, viewers, executor
        self._logger, self.clock = logger, clock
        self._ended: dict[str, tuple[int, bool]] = {}

    def deliver(
        self, subscribers: Iterable[Subscriber], frames: Sequence[bytes], job: str | None = None
    ) -> list[Outcome]:
        """Sends every frame to every subscriber; what became of each."""
        return list(self._executor.map(lambda subscriber: self._deliver(subscriber, frames, job), subscribers))

    def _deliver(self, subscriber: Subscriber, frames: Sequence[bytes], job: str | None) -> Outcome:
        now = self.clock.now_ms()
        if (subscriber.expires and subscriber.expires * 1000 <= now) or self._right_ended(subscriber, now):
            return self._expire(subscriber, job)
        if subscriber.lagging > now:
            return "left_alone"
        try:
            for frame in frames:
                self._send(subscriber.connection, frame)
        except ConnectionGoneError:
            self._store.remove_subscriber(subscriber)
            return "gone"
        except ConnectionBusyError:
            self._store.mark_lagging(subscriber, self.clock.now_ms() + core.LAGGING_MS)
            return "lagging"
        return "sent"

    def _send(self, connection: str, frame: bytes) -> None:
        for pause in RETRIES_S:
            try:
                return self._post(connection, frame)
            except ConnectionBusyError:
                self.clock.sleep(pause * (0.5 + self.clock.jitter() / 2))
        return self._post(connection, frame)

    def _expire(self, subscriber: Subscriber, job: str | None) -> Outcome:
        self._store.remove_subscriber(subscriber)
        frame = encode(Expired(job=job, message="Your sign-in or share link has ended.")).encode()
        with suppress(ConnectionGoneError, ConnectionBusyError):
            self._post(subscriber.connection, frame)
        return "expired"

    def _right_ended(self, subscriber: Subscriber, now: int) -> bool:
        """Whether the credential or the share link behind a subscription is no more."""
        right = subscriber.grant or subscriber.credential or subscriber.principal
        known = self._ended.get(right)
        if known is None or known[0] + CREDENTIAL_MEMORY_MS <= now:
            if len(self._ended) > 10_000:
                self._ended.clear()
            if subscriber.grant:
                ended = self._store.grant_ended(right)
            elif subscriber.credential:
                ended = self._store.credential_ended(right)
            else:
                ended = self._store.principal_ended(right)
            known = self._ended[right] = (now, ended)
        return known[1]
