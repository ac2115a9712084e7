"""The WebSocket to the cloud: connects, reconnects, and moves frames. The session interprets them.

One asyncio loop runs in its own thread. A new connection opens before API Gateway's 2-hour limit closes the old one.
Both stay open until the session releases the old one.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import urlsplit, urlunsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from logferry_protocol.backoff import RECONNECT, Retries
from logferry_protocol.messages import VERSION

from .credentials import Credential, CredentialError

log = structlog.get_logger(__name__)

PING_FRAME_S = 54.0
"""Seconds between ping frames. They detect a dead peer, also behind balancers that drop connections idle for a minute.
"""

PONG_TIMEOUT_S = 20.0

RENEW_S = 6_600.0
"""1 h 50 min: API Gateway closes at 2 h."""

RENEW_JITTER_S = 300.0
"""A connection is renewed up to this many seconds earlier, to spread a fleet's renewals."""

MAX_MESSAGE_BYTES = 131_072
"""API Gateway's limit for a message; ours are at most a quarter of it."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection opened."""

    link: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A connection closed."""

    link: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A message arrived."""

    link: int
    text: str


LinkEvent = Connected | Lost | Frame


@dataclass(slots=True)
class ConnectionStatus:
    """The state of the connection, for health and status."""

    connected: bool = False
    since: float = 0.0
    """When this state began, in seconds since 1970."""
    attempts: int = 0
    """Failed attempts since the last connection."""
    error: str | None = None
    """Why the last attempt failed, as a sentence for people."""
    refused: bool = False
    """The cloud does not accept the agent's credential, or there is none: an operator has to act."""


class CloudSocket:
    """The connections of one agent."""

    def __init__(
        self,
        url: str,
        credential: Credential,
        post: Callable[[LinkEvent], None],
        *,
        user_agent: str = "logferry-agent",
        rng: Random | None = None,
        tls: ssl.SSLContext | None = None,
        renew_s: float = RENEW_S,
        first_delay_s: float = RECONNECT.first_s,
    ) -> None:
        parts = urlsplit(url)
        query = f"{parts.query}&v={VERSION}" if parts.query else f"v={VERSION}"
        self._url = urlunsplit(parts._replace(query=query))
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "wss" else None
        self._credential, self._user_agent, self._post = credential, user_agent, post
        self._rng = rng or Random()  # noqa: S311 - jitter, not a secret
        self._renew_s = renew_s
        self._backoff = replace(RECONNECT, first_s=first_delay_s)
        self._loop = asyncio.new_event_loop()
        self._queues: dict[int, asyncio.Queue[str | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="socket", daemon=True)
        self.status = ConnectionStatus()
        self.connects = 0
        """Connections made so far."""
        self.failures = 0
        """Attempts that failed so far."""

    # --- from other threads -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start connecting."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close all connections. Return when they are closed, or after the timeout."""
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(timeout_s)

    def send(self, link: int, text: str) -> None:
        """Send a frame on a connection, if it is still open."""
        self._loop.call_soon_threadsafe(self._enqueue, link, text)

    def close(self, link: int) -> None:
        """Close a connection."""
        self._loop.call_soon_threadsafe(self._enqueue, link, None)

    # --- in the loop --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._keep_connected())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.run_until_complete(self._leave())
            self._loop.close()

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()

    async def _leave(self) -> None:
        for queue in self._queues.values():
            queue.put_nowait(None)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3)

    def _enqueue(self, link: int, text: str | None) -> None:
        if (queue := self._queues.get(link)) is not None:
            queue.put_nowait(text)

    async def _keep_connected(self) -> None:
        """Keep a connection open at any time, and open the next one before API Gateway closes it."""
        retries = Retries(self._backoff, self._rng.random)
        link = 0
        while True:
            connection = await self._connect()
            if connection is None:
                await asyncio.sleep(retries.next_delay())
                continue
            link += 1
            queue: asyncio.Queue[str | None] = asyncio.Queue()
            self._queues[link] = queue
            heard = asyncio.Event()
            self._post(Connected(link))
            served = asyncio.create_task(self._serve(link, connection, queue, heard))
            self._tasks.add(served)
            served.add_done_callback(self._tasks.discard)
            renew_after = self._renew_s - self._rng.uniform(0, min(RENEW_JITTER_S, self._renew_s / 4))
            await asyncio.wait({served}, timeout=renew_after)
            if heard.is_set():
                retries.reset()
            if served.done():
                await asyncio.sleep(retries.next_delay())

    async def _connect(self) -> ClientConnection | None:
        try:
            # In a thread, because it may use the network while another connection is open in this loop.
            token = await asyncio.to_thread(self._credential.token)
            connection = await connect(
                self._url,
                additional_headers={"Authorization": f"Bearer {token}", "User-Agent": self._user_agent},
                ssl=self._tls,
                compression=None,  # bodies are compressed already
                ping_interval=PING_FRAME_S,
                ping_timeout=PONG_TIMEOUT_S,
                open_timeout=20,
                close_timeout=2,
                max_size=MAX_MESSAGE_BYTES,
                user_agent_header=None,
            )
        except (CredentialError, OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            self._failed(error)
            return None
        self.connects += 1
        self.status = ConnectionStatus(connected=True, since=time.time())
        log.info("connected", url=self._url)
        return connection

    def _failed(self, error: Exception) -> None:
        denied = isinstance(error, InvalidStatus) and error.response.status_code in {401, 403}
        refused = denied or isinstance(error, CredentialError)
        sentence = self._credential.advice if denied else f"cannot connect: {error or type(error).__name__}"
        self.failures += 1
        before = self.status
        self.status = ConnectionStatus(False, before.since, before.attempts + 1, sentence, refused)
        level = log.error if refused else log.warning
        level(sentence, url=self._url, attempts=self.status.attempts, detail=str(error))

    async def _serve(
        self, link: int, connection: ClientConnection, queue: asyncio.Queue[str | None], heard: asyncio.Event
    ) -> None:
        sender = asyncio.create_task(self._send_all(connection, queue))
        try:
            async for text in connection:
                heard.set()
                if isinstance(text, str):
                    self._post(Frame(link, text))
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            del self._queues[link]
            code, reason = connection.close_code or 1006, connection.close_reason or ""
            if not self._queues:
                self.status = ConnectionStatus(False, time.time(), 0, f"closed with {code} {reason}".rstrip())
            log.info("connection closed", code=code, reason=reason)
            self._post(Lost(link, code, reason))

    async def _send_all(self, connection: ClientConnection, queue: asyncio.Queue[str | None]) -> None:
        try:
            while (text := await queue.get()) is not None:
                await connection.send(text)
        except ConnectionClosed:
            return
        await connection.close()
