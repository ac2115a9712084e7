"""Sends frames to many connections at once, so that a slow viewer never holds up the others."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from logferry_protocol.messages import Expired, encode
from runtime.aws_errors import is_transient
from runtime.websocket_push import ConnectionBusyError, ConnectionGoneError, Post

from . import core
from .core import Subscriber
from .store import Store

RETRY_PAUSES_S: Final = (0.05, 0.2, 0.5)
"""Pauses before each further attempt at one viewer, before jitter: under a second in all."""

REVOCATION_CACHE_MS: Final = 5_000
"""How long what was read of a credential is believed. A revocation also closes connections by itself."""

Outcome = Literal["sent", "gone", "expired", "lagging", "left_alone"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, so that tests have their own."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


Authority = tuple[str, str]
"""What a subscription stands on: a share link, a credential, or a principal that has none; and its name."""


class Delivery:
    """Sends to subscribers, and sees to those who are gone, expired or slow. `close` closes a viewer's connection."""

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
        self._ended: dict[Authority, tuple[int, bool]] = {}

    def deliver(
        self, subscribers: Iterable[Subscriber], frames: Sequence[bytes], job: str | None = None
    ) -> list[Outcome]:
        """Sends every frame to every subscriber; what became of each.

        Raises:
            ClientError, BotoCoreError: what stands behind a subscription could not be read; nothing was sent.
        """
        audience = list(subscribers)
        ended = self._revoked_authorities({_authority(subscriber) for subscriber in audience})
        return list(
            self._executor.map(lambda one: self._deliver(one, frames, job, ended=ended[_authority(one)]), audience)
        )

    def _deliver(self, subscriber: Subscriber, frames: Sequence[bytes], job: str | None, *, ended: bool) -> Outcome:
        now = self.clock.now_ms()
        if (subscriber.expires and subscriber.expires * 1000 <= now) or ended:
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
        # The next batch meets the same viewer. Failing here would have the record come again, to everybody.
        try:
            write(*given)
        except (BotoCoreError, ClientError) as error:
            if not is_transient(error):
                raise
            self._logger.warning("a subscription could not be changed", exc_info=True)

    def _send(self, connection: str, frame: bytes) -> None:
        for pause in RETRY_PAUSES_S:
            try:
                return self._post(connection, frame)
            except ConnectionBusyError:
                self.clock.sleep(pause * (0.5 + self.clock.jitter() / 2))
        return self._post(connection, frame)

    def _expire(self, subscriber: Subscriber, job: str | None) -> Outcome:
        self._note(self._store.remove_subscriber, subscriber)
        frame = encode(Expired(job=job, message="Your sign-in or share link has ended.")).encode()
        with suppress(ConnectionGoneError, ConnectionBusyError):
            self._post(subscriber.connection, frame)
        # A connection stands on what its subscriptions stand on, so it ends with them.
        self._note(self._close, subscriber.connection)
        return "expired"

    def _revoked_authorities(self, authorities: set[Authority]) -> dict[Authority, bool]:
        """Which of them are no more. Each is read once, before anything is sent: hundreds may stand on the same one."""
        now = self.clock.now_ms()
        known = {authority: self._ended[authority][1] for authority in authorities if self._is_fresh(authority, now)}
        unknown = [authority for authority in authorities if authority not in known]
        if len(self._ended) > 10_000:
            self._ended.clear()
        for authority, ended in zip(unknown, self._executor.map(self._read, unknown), strict=True):
            self._ended[authority] = (now, ended)
            known[authority] = ended
        return known

    def _is_fresh(self, authority: Authority, now: int) -> bool:
        return authority in self._ended and self._ended[authority][0] + REVOCATION_CACHE_MS > now

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
