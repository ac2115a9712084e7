"""Sends frames to many connections at once, so that a slow viewer does not delay the others."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from logferry_protocol.backoff import Backoff
from logferry_protocol.messages import Expired, encode
from runtime.aws_errors import is_transient
from runtime.websocket_push import ConnectionBusyError, ConnectionGoneError, Post

from . import core
from .core import Subscriber
from .store import Store

PUSH_RETRIES: Final = 3
PUSH_BACKOFF: Final = Backoff(first_s=0.05, longest_s=0.5, factor=4.0)
"""The waits before each retry of a push to one viewer: at most 0.05, 0.2 and 0.5 s, so below a second together."""

REVOCATION_CACHE_MS: Final = 5_000
"""How long a credential's state is cached. A revocation closes the connections in any case."""

Outcome = Literal["sent", "gone", "expired", "lagging", "left_alone"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and randomness, replaceable in tests."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


Authority = tuple[str, str]
"""What a subscription's rights depend on: `grant`, `credential` or (without either) `principal`, and its id."""


class Delivery:
    """Sends to subscribers, and handles those that are gone, expired or slow."""

    def __init__(
        self,
        store: Store,
        viewers: Post,
        executor: Executor,
        logger: Logger,
        *,
        close: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._store, self._post, self._close, self._executor = store, viewers, close, executor
        self._logger, self.clock = logger, clock
        self._revoked: dict[Authority, tuple[int, bool]] = {}

    def deliver(
        self, subscribers: Iterable[Subscriber], frames: Sequence[bytes], job: str | None = None
    ) -> list[Outcome]:
        """Send every frame to every subscriber, and return the outcome of each.

        Args:
            subscribers: who gets the frames.
            frames: the frames, in their order.
            job: the job of the frames, if they have one.

        Raises:
            ClientError, BotoCoreError: the state of a credential could not be read. Nothing was sent.
        """
        audience = list(subscribers)
        revoked = self._revoked_authorities({_authority(subscriber) for subscriber in audience})
        return list(
            self._executor.map(lambda one: self._deliver(one, frames, job, revoked=revoked[_authority(one)]), audience)
        )

    def _deliver(self, subscriber: Subscriber, frames: Sequence[bytes], job: str | None, *, revoked: bool) -> Outcome:
        now = self.clock.now_ms()
        if (subscriber.expires and subscriber.expires * 1000 <= now) or revoked:
            return self._expire(subscriber, job)
        if subscriber.lagging > now:
            return "left_alone"
        try:
            for frame in frames:
                self._send(subscriber.connection, frame)
        except ConnectionGoneError:
            self._note(self._store.remove_subscriber, subscriber)
            return "gone"
        except ConnectionBusyError:
            self._note(self._store.mark_lagging, subscriber, self.clock.now_ms() + core.LAGGING_MS)
            return "lagging"
        return "sent"

    def _note(self, write: Callable[..., None], *given: Any) -> None:
        # The next batch meets the same viewer. A failure here would repeat the record for all subscribers.
        try:
            write(*given)
        except (BotoCoreError, ClientError) as error:
            if not is_transient(error):
                raise
            self._logger.warning("a subscription could not be changed", exc_info=True)

    def _send(self, connection: str, frame: bytes) -> None:
        for attempt in range(1, PUSH_RETRIES + 1):
            try:
                return self._post(connection, frame)
            except ConnectionBusyError:
                self.clock.sleep(PUSH_BACKOFF.delay(attempt, self.clock.jitter))
        return self._post(connection, frame)

    def _expire(self, subscriber: Subscriber, job: str | None) -> Outcome:
        self._note(self._store.remove_subscriber, subscriber)
        frame = encode(Expired(job=job, message="Your sign-in or share link has expired or was revoked.")).encode()
        with suppress(ConnectionGoneError, ConnectionBusyError):
            self._post(subscriber.connection, frame)
        # A connection's rights are those of its subscriptions, so it ends with them.
        self._note(self._close, subscriber.connection)
        return "expired"

    def _revoked_authorities(self, authorities: set[Authority]) -> dict[Authority, bool]:
        """Return which authorities are revoked.

        Each is read once, before anything is sent: hundreds of subscriptions may depend on the same one.
        """
        now = self.clock.now_ms()
        known = {authority: self._revoked[authority][1] for authority in authorities if self._is_fresh(authority, now)}
        unknown = [authority for authority in authorities if authority not in known]
        if len(self._revoked) > 10_000:
            self._revoked.clear()
        for authority, revoked in zip(unknown, self._executor.map(self._read, unknown), strict=True):
            self._revoked[authority] = (now, revoked)
            known[authority] = revoked
        return known

    def _is_fresh(self, authority: Authority, now: int) -> bool:
        return authority in self._revoked and self._revoked[authority][0] + REVOCATION_CACHE_MS > now

    def _read(self, authority: Authority) -> bool:
        kind, name = authority
        match kind:
            case "grant":
                return self._store.share_revoked(name)
            case "credential":
                return self._store.credential_revoked(name)
        return self._store.principal_revoked(name)


def _authority(subscriber: Subscriber) -> Authority:
    if subscriber.grant:
        return "grant", subscriber.grant
    return ("credential", subscriber.credential) if subscriber.credential else ("principal", subscriber.principal)
