"""Send a line through a deployment from end to end, for `logferry doctor --deep`.

The probe acts as an agent, with a key that lives for minutes, and as a viewer, and checks every step between them. The
job that it makes is deleted at the end.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, TypeAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from logferry_cli import network_causes
from logferry_cli.api import Api, TransientError
from logferry_cli.problems import Problem
from logferry_cli.registry import Agent, Registry
from logferry_protocol import messages
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.job import Container, LifeCycle, job_id

PRINCIPAL: Final = "logferry-doctor"
KEY_LIVES_S: Final = 600
CONNECT_S: Final = 30.0
"""Seconds to wait for a connection; API Gateway waits as long for its functions."""

Message = TypeVar("Message", bound=BaseModel)


class ProbeSocket:
    """A WebSocket of an agent or a viewer, which returns messages by kind."""

    def __init__(self, connection: ClientConnection, family: TypeAdapter[Any], patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._family = family
        self._kept: list[BaseModel] = []

    @property
    def clock_offset_s(self) -> float | None:
        """How many seconds this machine's clock was ahead at the handshake; None if the answer had no time."""
        response = self._connection.response
        return None if response is None else network_causes.clock_offset(response.headers, time.time())

    async def send(self, message: BaseModel) -> None:
        """Send one message."""
        await self._connection.send(messages.encode(message))

    async def receive(self, kind: type[Message], what: str) -> Message:
        """Return the next message of a kind; others are kept for later.

        Args:
            kind: The message's class.
            what: What is awaited, for the error message.

        Raises:
            Problem: An error came instead, or nothing in time.
        """
        for kept in self._kept:
            if isinstance(kept, kind):
                self._kept.remove(kept)
                return kept
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        message = messages.decode(await self._connection.recv(), self._family)
                    except MalformedMessageError:
                        continue
                    if isinstance(message, messages.Error):
                        raise Problem(f"Instead of {what} came the error {message.code} ({message.message}).")
                    if isinstance(message, kind):
                        return message
                    self._kept.append(message)
        except TimeoutError:
            raise Problem(f"{what} did not come within {self._patience:g} s.") from None
        except WebSocketException as error:
            raise Problem(f"The connection ended before {what} came ({error}).") from None


@asynccontextmanager
async def viewers_socket(api: Api, patience: float) -> AsyncIterator[ProbeSocket]:
    """Open the viewers' WebSocket with a new ticket. Each answer may take `patience` seconds.

    Raises:
        Problem: It refused or cannot be reached.
    """
    url = await api.viewers_url()
    try:
        ticket = await api.ticket()
    except TransientError as trouble:
        raise Problem(f"{trouble}.") from None
    async with _connected(f"{url}?{urlencode({'v': messages.VERSION, 'ticket': ticket})}", None) as connection:
        yield ProbeSocket(connection, messages.TO_VIEWER, patience)


@asynccontextmanager
async def agents_socket(
    url: str, key: str, patience: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ProbeSocket]:
    """Open the agents' WebSocket. Each answer may take `patience` seconds.

    Args:
        url: The address.
        key: The credential.
        patience: Seconds to wait for each answer.
        tls: What to trust; None: the system's certificates.

    Raises:
        Problem: It refused or cannot be reached.
    """
    headers = {"Authorization": f"Bearer {key}"}
    async with _connected(f"{url}?{urlencode({'v': messages.VERSION})}", headers, tls) as connection:
        yield ProbeSocket(connection, messages.TO_AGENT, patience)


@asynccontextmanager
async def _connected(
    url: str, headers: dict[str, str] | None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ClientConnection]:
    where = url.partition("?")[0]
    trusting: dict[str, Any] = {} if tls is None else {"ssl": tls}
    try:
        connection = await connect(
            url, additional_headers=headers, compression=None, open_timeout=CONNECT_S, **trusting
        )
    except InvalidStatus as error:
        answer = error.response
        offset = network_causes.clock_offset(answer.headers, time.time())
        if offset is not None and (problem := network_causes.of_clock(offset)) is not None:
            raise problem from None
        body = (answer.body or b"").decode(errors="replace")
        what = "ticket" if headers is None else "key"
        raise network_causes.of_handshake(where, answer.status_code, body, what) from None
    except (OSError, TimeoutError, WebSocketException) as error:
        raise network_causes.of_connection(where, error) from None
    async with connection:
        yield connection


class ProbeLine:
    """The job of the one line that is sent."""

    def __init__(self) -> None:
        self.container = secrets.token_hex(32)
        self.job = job_id(PRINCIPAL, self.container)
        self.text = f"logferry doctor {secrets.token_hex(8)}"
        now = time.time_ns() // 1000
        body = encode_body([now], "o", [self.text])
        self.batch = messages.Batch(
            job=self.container,
            first=1,
            count=1,
            start=now,
            end=now,
            raw=len(self.text),
            digest=digest_of(body),
            cursor="",
            body=body,
        )
        self._life = LifeCycle(state="running", created=now // 1000, started=now // 1000)

    def open(self, owner: str) -> messages.Open:
        """Return the message that makes the job, for an owner who may read it."""
        container = Container(name=PRINCIPAL, image=PRINCIPAL, host="doctor", owner=owner)
        job = messages.OpenJob(job=self.container, container=container, life=self._life)
        return messages.Open(id="open", instance=PRINCIPAL, jobs=[job])


def temporary_key(registry: Registry) -> str:
    """Create a key of the doctor's own agent principal. It lives for ten minutes and is revoked before.

    Raises:
        Problem: The registry refuses.
    """
    now = time.time_ns() // 1_000_000
    registry.ensure(Agent(PRINCIPAL, PRINCIPAL, ("*",)), now)
    return registry.issue(PRINCIPAL, "agent", now, now // 1000 + KEY_LIVES_S).key
