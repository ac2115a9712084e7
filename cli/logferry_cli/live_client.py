"""Follow a job as it grows, over one WebSocket at a time and the HTTP history.

One task keeps the connection. Each time, it fetches a new one-time ticket and subscribes after the last entry that the
reader has. It pings every 30 s; the answer shows whether the last broadcast was lost. After a failure it waits by
`logferry_protocol.backoff`. It opens and subscribes a new connection before API Gateway ends the old one after two
hours. Everything that arrives goes through one queue to `events()`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from logferry_cli.api import Api, TransientError
from logferry_cli.problems import Problem
from logferry_cli.reader import Damaged, Lost, Page, Reader, Run
from logferry_cli.terminal import sanitize_word
from logferry_protocol import messages
from logferry_protocol.backoff import RECONNECT, Backoff
from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.job import JobRecord
from logferry_protocol.limits import MAX_FRAME_BYTES

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of the live connection, in seconds; tests use shorter ones."""

    ping: float = 30.0
    """API Gateway closes after 10 minutes without a message, and a pong reports the tip."""
    silence: float = 75.0
    """After this silence, with two pings unanswered, the connection is dead."""
    life: float = 6600.0
    """When to open the next connection: API Gateway ends one after 7,200 s."""
    life_jitter: float = 300.0
    """Up to this much earlier, so that an audience that came together does not reconnect together."""
    answer: float = 15.0
    """How long to wait for `subscribed`."""
    backoff: Backoff = RECONNECT
    """Waits before a new connection after a failure."""
    settled: float = 10.0
    """A connection that lasted this long resets the backoff."""


MAX_REFUSALS: Final = 3
"""After this many refused tickets in a row, each new, give up."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The connection was opened, or lost (and why)."""

    connected: bool
    detail: str = ""


Event = Run | Lost | Damaged | LinkChange | JobRecord


@dataclass(frozen=True, slots=True)
class _Answered:
    page: Page | None


_Inbox = asyncio.Queue["messages.ToViewer | LinkChange | _Answered | BaseException"]


class LiveClient:
    """Follows a job's entries after a sequence. An asynchronous context manager.

    The first contact fails at once where it fails (a wrong key, an unknown job, no cloud). After it, failures are
    retried for as long as they last.
    """

    def __init__(self, api: Api, job: str, *, after: int = 0, timing: Timing | None = None) -> None:
        self.reader = Reader(random.random, after)
        self._api = api
        self._job = job
        self._inbox: _Inbox = asyncio.Queue(maxsize=256)
        self._link = _Link(api, job, lambda: self.reader.position, self._inbox, timing or Timing())
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = False

    @property
    def caught_up(self) -> bool:
        """Whether everything known to exist was handed on."""
        return self._told and self.reader.complete

    async def __aenter__(self) -> Self:
        self._start(self._link.keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()

    async def events(self) -> AsyncIterator[Event]:
        """Yield entries in order without end, with changes of the connection and of the job between them.

        Raises:
            Problem: It cannot go on: refused, revoked, or no such job.
        """
        reader = self.reader
        while True:
            if (asked := reader.request(monotonic())) is not None:
                self._start(self._fetch(asked))
            for taken in reader.take():
                yield taken
            wait = None if reader.due is None else max(0.0, reader.due - monotonic())
            try:
                message = await asyncio.wait_for(self._inbox.get(), wait)
            except TimeoutError:
                continue
            if (event := self._received(message)) is not None:
                yield event

    def _received(self, message: messages.ToViewer | LinkChange | _Answered | BaseException) -> Event | None:
        now = monotonic()
        match message:
            case BaseException():
                raise message
            case LinkChange():
                return message
            case _Answered(page=None):
                self.reader.failed(now)
            case _Answered(page=page):
                assert page is not None  # noqa: S101 - for mypy; the case before has None
                self.reader.answer(page, now)
            case messages.Subscribed(job=self._job):
                self.reader.update_tip(message.tip or 0, now, at_once=True)
                self._told = True
                return message.record
            case messages.BatchMessage(job=self._job):
                for batch in message.batches:
                    self.reader.receive(batch, now)
            case messages.ViewerPong():
                self.reader.update_tip(message.tips.get(self._job, 0), now)
            case messages.JobMessage() if message.record.job == self._job:
                if message.deleted:
                    raise Problem("The job was deleted.")
                return message.record
            case messages.Expired(job=None) | messages.Expired(job=self._job):
                why = f" ({sanitize_word(message.message)})" if message.message else ""
                raise Problem(
                    f"The right to read this job ended{why}.", "Check whether the viewer key is revoked or expired."
                )
            case _:
                pass
        return None

    async def _fetch(self, after: int) -> None:
        try:
            await self._inbox.put(_Answered(await self._api.history(self._job, after=after)))
        except TransientError:
            await self._inbox.put(_Answered(None))
        except Problem as problem:
            await self._inbox.put(problem)

    def _start(self, coroutine: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _message(frame: str | bytes) -> messages.ToViewer | None:
    """Return a message; None for one that cannot be parsed, which is ignored (PROTOCOL.md, Errors)."""
    try:
        return messages.decode(frame, messages.TO_VIEWER)
    except MalformedMessageError:
        pass
    try:
        # The answer to `subscribe` counts even if its record is damaged: the job's lines can be read.
        document = json.loads(frame)
        if document["type"] != "subscribed":
            return None
        del document["record"]
        return messages.decode(json.dumps(document), messages.TO_VIEWER)
    except (ValueError, KeyError, TypeError, MalformedMessageError):
        return None


class _Link:
    """Keeps one subscribed connection at a time."""

    def __init__(self, api: Api, job: str, position: Callable[[], int], inbox: _Inbox, timing: Timing) -> None:
        self._api = api
        self._job = job
        self._position = position
        self._inbox = inbox
        self._timing = timing
        self._ids = itertools.count(1)
        self._failures = 0
        self._refusals = 0
        self._current: _Connection | None = None

    async def keep(self) -> None:
        """Connect, and reconnect whenever needed. An error that ends this is put into the inbox."""
        try:
            while True:
                connection = await self._connected()
                if self._current is not None:
                    await self._current.close()
                self._current = connection
                self._api.patient = True
                await self._inbox.put(LinkChange(True))
                began = monotonic()
                life = self._timing.life - random.random() * self._timing.life_jitter  # noqa: S311 - no secret
                cut = await connection.ended(life)
                if cut is not None:
                    if monotonic() - began < self._timing.settled:
                        self._failures += 1
                    else:
                        self._failures = 0
                    await self._inbox.put(LinkChange(False, cut))
                    await self._pause()
        except Exception as error:
            # Any error must reach the reader of the inbox.
            await self._inbox.put(error)

    async def close(self) -> None:
        """Close the connection."""
        if self._current is not None:
            await self._current.close()

    async def _connected(self) -> _Connection:
        while True:
            try:
                return await self._open()
            except TransientError as trouble:
                self._failures += 1
                if not self._api.patient and self._failures >= MAX_REFUSALS:
                    raise Problem(f"{trouble}.", "Try again later.") from None
                await self._inbox.put(LinkChange(False, str(trouble)))
                await self._pause()

    async def _pause(self) -> None:
        if self._failures:
            await asyncio.sleep(self._timing.backoff.delay(self._failures, random.random))

    async def _open(self) -> _Connection:
        url = await self._api.viewers_url()
        ticket = await self._api.ticket()
        try:
            socket = await connect(
                f"{url}?{urlencode({'v': messages.VERSION, 'ticket': ticket})}",
                ping_interval=None,  # our own pings reach the cloud, not only the gateway before it
                compression=None,  # bodies are compressed
                max_size=4 * MAX_FRAME_BYTES,
                max_queue=64,
                open_timeout=self._timing.answer,
                close_timeout=2,
                proxy=True,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in {401, 403}:
                self._refusals += 1
                sentence = f"The WebSocket refused the ticket that the API gave ({status}: expired, used or unknown)"
                if self._refusals >= MAX_REFUSALS:
                    raise Problem(
                        f"{sentence}, {self._refusals} times.",
                        "Check that LOGFERRY_API_URL and LOGFERRY_VIEWERS_URL belong to the same deployment.",
                    ) from None
                raise TransientError(sentence) from None
            raise TransientError(f"The WebSocket answered {status}") from None
        except (InvalidHandshake, InvalidURI) as error:
            raise Problem(f"{url} is not a WebSocket of Logferry's ({error}).", "Check LOGFERRY_VIEWERS_URL.") from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise TransientError(f"{url} cannot be reached ({str(error) or type(error).__name__})") from None
        self._refusals = 0
        connection = _Connection(socket, self._inbox, self._timing, self._next_id)
        try:
            await connection.subscribe(self._job, self._position())
        except BaseException:
            await connection.close()
            raise
        return connection

    def _next_id(self) -> str:
        return f"c{next(self._ids)}"


class _Connection:
    """One WebSocket: reads messages into the inbox, and pings."""

    def __init__(self, socket: ClientConnection, inbox: _Inbox, timing: Timing, next_id: Callable[[], str]) -> None:
        self._socket = socket
        self._inbox = inbox
        self._timing = timing
        self._next_id = next_id
        self._heard = monotonic()
        self._subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted = ""
        self._reading = asyncio.create_task(self._read())
        self._pinging: asyncio.Task[None] | None = None

    async def subscribe(self, job: str, after: int) -> None:
        """Subscribe and wait for the answer.

        Raises:
            Problem: The job may not be read.
            TransientError: There is no answer, or one that asks to try again.
        """
        self._wanted = self._next_id()
        await self._send(messages.Subscribe(id=self._wanted, job=job, after=after))
        either: set[asyncio.Future[Any]] = {self._subscribed, self._reading}
        done, _ = await asyncio.wait(either, timeout=self._timing.answer, return_when=asyncio.FIRST_COMPLETED)
        if self._subscribed not in done:
            raise TransientError("The WebSocket did not answer `subscribe`")
        self._subscribed.result()
        self._pinging = asyncio.create_task(self._ping())

    async def ended(self, life: float) -> str | None:
        """Wait until the connection is lost (return how), or `life` seconds are over (return None)."""
        done, _ = await asyncio.wait([self._reading], timeout=life)
        return self._reading.result() if done else None

    async def close(self) -> None:
        """Close the connection, whatever its state."""
        for task in (self._reading, self._pinging):
            if task is not None:
                task.cancel()
        if not self._subscribed.done():
            self._subscribed.cancel()
        elif not self._subscribed.cancelled():
            self._subscribed.exception()
        await asyncio.gather(self._reading, *([self._pinging] if self._pinging else []), return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> str:
        try:
            async for frame in self._socket:
                self._heard = monotonic()
                message = _message(frame)
                if message is None:
                    continue
                if isinstance(message, messages.Error):
                    self._refused(message)
                    continue
                await self._inbox.put(message)
                if isinstance(message, messages.Subscribed) and message.id == self._wanted:
                    self._answer(None)
        except (WebSocketException, OSError) as error:
            return f"the connection broke ({error})"
        code, reason = self._socket.close_code, sanitize_word(self._socket.close_reason or "")
        return f"the connection was closed ({code}{' ' + reason if reason else ''})"

    def _refused(self, error: messages.Error) -> None:
        if error.id is not None and error.id != self._wanted:
            return
        why = sanitize_word(error.message)
        match error.code:
            case "not_found" | "forbidden":
                self._answer(
                    Problem(
                        "There is no such job, or you may not read it.",
                        "Run `logferry jobs` to list the jobs you can read.",
                    )
                )
            case "unauthorized" | "expired":
                self._answer(
                    Problem(
                        f"The right to read ended ({why or error.code}).",
                        "Check whether the viewer key is revoked or expired.",
                    )
                )
            case code if error.retry:
                self._answer(TransientError(f"The cloud answered {code} ({why})"))
            case code:
                self._answer(Problem(f"The cloud refused to show the job ({code}: {why})."))

    def _answer(self, error: Exception | None) -> None:
        if self._subscribed.done():
            return
        if error is None:
            self._subscribed.set_result(None)
        else:
            self._subscribed.set_exception(error)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._timing.ping)
            if monotonic() - self._heard > self._timing.silence:
                self._socket.transport.abort()
                return
            try:
                await self._send(messages.Ping(id=self._next_id()))
            except TransientError:
                return

    async def _send(self, message: messages.Subscribe | messages.Ping) -> None:
        try:
            await self._socket.send(messages.encode(message))
        except (WebSocketException, OSError) as error:
            raise TransientError(f"the connection broke ({error})") from None
