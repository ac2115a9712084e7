"""Serve one client's connection: its messages become concurrent invocations; outgoing messages wait in a buffer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.support.gateway import events
from tests.support.gateway.events import Handshake
from tests.support.gateway.permissions import websocket_source
from tests.support.gateway.template import Route, WebSocketApi
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from tests.support.gateway.gateway import StrictGateway

GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003
# 8,192 characters are at most 32 KiB of UTF-8.
FRAGMENT_CHARS = 8_192


class Client:
    """A connection from its handshake on."""

    def __init__(
        self, gateway: StrictGateway, api: WebSocketApi, api_id: str, handshake: Handshake, socket: ServerConnection
    ) -> None:
        self._gateway = gateway
        self._api = api
        self._api_id = api_id
        self._socket = socket
        self._outbox: deque[str] = deque()
        self._queued = 0
        self._something = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self.handshake = handshake
        self.opened = gateway.clock.now()
        self.active = self.opened

    @property
    def id(self) -> str:
        """The connection id."""
        return self.handshake.connection_id

    @property
    def api_id(self) -> str:
        """The API that it belongs to."""
        return self._api_id

    # --- to the client ------------------------------------------------------------------------------------------------

    def send(self, text: str) -> bool:
        """Queue a message; return False when the client's buffer is full."""
        size = len(text.encode())
        if (
            self._queued + self._socket.transport.get_write_buffer_size() + size
            > self._gateway.limits.client_buffer_bytes
        ):
            return False
        if size > self._gateway.limits.frame_bytes:
            self._gateway.violation(f"a message of {size} bytes to a client, more than one frame")
        self._gateway.count_message(size)
        self.active = self._gateway.clock.now()
        self._outbox.append(text)
        self._queued += size
        self._something.set()
        return True

    def close(self, code: int, reason: str) -> None:
        """Close it with a close frame, after the queued messages."""
        self._closing = (code, reason)
        self._something.set()

    def cut(self) -> None:
        """Break it as a network does: no close frame, and messages in transit are lost."""
        self._gateway.counts["cut"] += 1
        self._socket.transport.abort()

    async def _write(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._outbox:
                text = self._outbox.popleft()
                if len(text) > FRAGMENT_CHARS and len(text.encode()) > self._gateway.limits.frame_bytes:
                    pieces = [text[at : at + FRAGMENT_CHARS] for at in range(0, len(text), FRAGMENT_CHARS)]
                    await self._socket.send(pieces)
                else:
                    await self._socket.send(text)
                self._queued -= len(text.encode())
            if self._closing is not None:
                await self._socket.close(*self._closing)
                return

    # --- lifecycle ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve it until either side ends it; then invoke $disconnect."""
        lives = [asyncio.ensure_future(part()) for part in (self._read, self._write, self._age, self._suffer)]
        try:
            await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._gateway.forget(self)
            for life in lives:
                life.cancel()
            for life in lives:
                with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                    await life
            await self._socket.close()
            self._gateway.spawn(self._disconnected())

    async def _read(self) -> None:
        async for message in self._socket:
            if isinstance(message, bytes):
                # https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-
                # types.html
                await self._socket.close(UNSUPPORTED_DATA, "Binary is not supported")
                return
            self.active = self._gateway.clock.now()
            self._gateway.count_message(len(message.encode()))
            self._gateway.spawn(self._handle(message))

    async def _age(self) -> None:
        clock, limits = self._gateway.clock, self._gateway.limits
        while True:
            until = min(self.active + limits.idle_s, self.opened + limits.duration_s)
            if clock.now() >= until:
                self._gateway.counts["aged out"] += 1
                await self._socket.close(GOING_AWAY, "Going away")
                return
            await clock.sleep_until(until)

    async def _suffer(self) -> None:
        while True:
            span = self._gateway.faults.cut_every_s
            if span is None:
                await asyncio.sleep(0.5)
                continue
            await asyncio.sleep(span / 2 + self._gateway.dice.random_delay(span))
            self.cut()
            return

    async def _disconnected(self) -> None:
        route = self._api.routes.get("$disconnect")
        if route is None or self._gateway.dice.happens("lose $disconnect", self._gateway.faults.lose_disconnect):
            return
        context = self._context(route, "DISCONNECT", events.new_request_id())
        code = self._socket.close_code
        context["disconnectStatusCode"] = 1006 if code is None else code
        context["disconnectReason"] = self._socket.close_reason or ""
        event = {"requestContext": context, "isBase64Encoded": False}
        await self._gateway.invoke_within(route.function, event, self._source(route))

    # --- its messages ------------------------------------------------------------------------------------------------

    async def _handle(self, text: str) -> None:
        gateway, faults, dice = self._gateway, self._gateway.faults, self._gateway.dice
        request_id = events.new_request_id()
        if not gateway.may_pass(self._api) or dice.happens("throttle", faults.throttle):
            self._refuse("Too Many Requests", request_id)
            return
        route = self._api.route_for(text)
        if route is None:
            self._refuse("Forbidden", request_id)
            return
        if dice.happens("fail before", faults.fail_before):
            self._refuse("Internal server error", request_id)
            return
        await asyncio.sleep(dice.random_delay(faults.delay_s))
        context = self._context(route, "MESSAGE", request_id)
        context["messageId"] = request_id
        event = {"requestContext": context, "body": text, "isBase64Encoded": False}
        outcome = await gateway.invoke_within(route.function, event, self._source(route))
        if outcome is None:
            self._refuse("Endpoint request timed out", request_id)
            return
        if outcome.failed or dice.happens("fail after", faults.fail_after):
            self._refuse("Internal server error", request_id)
            return
        body = _body_of(outcome.payload)
        if body is None or len(body.encode()) > gateway.limits.message_bytes:
            gateway.violation(f"{route.function} returned what API Gateway cannot send: {str(outcome.payload)[:200]}")
            self._refuse("Internal server error", request_id)
            return
        if not route.answers or not body or dice.happens("lose answer", faults.lose_answer):
            return
        await self._answer(body)

    async def _answer(self, body: str) -> None:
        dice, faults = self._gateway.dice, self._gateway.faults
        times = 2 if dice.happens("repeat answer", faults.repeat_answer) else 1
        for _ in range(times):
            await asyncio.sleep(dice.random_delay(faults.delay_s))
            self._gateway.counts["answer"] += 1
            self.send(body)

    def _refuse(self, message: str, request_id: str) -> None:
        self._gateway.counts[message] += 1
        self.send(json.dumps(events.refusal(message, self.id, request_id)))

    def _source(self, route: Route) -> str:
        return websocket_source(events.api_arn(self._api_id), self._api.stage, route.key)

    def _context(self, route: Route, kind: str, request_id: str) -> dict[str, Any]:
        return events.request_context(self.handshake, self._api_id, self._api.stage, route.key, kind, request_id)


def _body_of(payload: Any) -> str | None:
    """Return the body of a proxy integration's response: "" without one, None for a malformed response.

    A response has a status code, and a body that is a string; anything else is an internal error to the client.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html (output format)
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("statusCode"), int):
        return None
    body = payload.get("body", "")
    return body if isinstance(body, str) else None
