"""Serve WebSockets and HTTP on one port, as API Gateway's hosts do: a request's head decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_HEAD_BYTES = 65_536


class ProtocolSwitch(asyncio.Protocol):
    """Read a connection's first head, and give the connection with that head to one of two protocols."""

    def __init__(self, websocket: Callable[[], asyncio.Protocol], http: Callable[[], asyncio.Protocol]) -> None:
        self._websocket = websocket
        self._http = http
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, _ = self._received.partition(b"\r\n\r\n")
        if not end:
            if len(self._received) > MAX_HEAD_BYTES:
                self._transport.abort()
            return
        chosen = self._websocket() if b"\r\nupgrade: websocket" in head.lower() else self._http()
        self._transport.set_protocol(chosen)
        chosen.connection_made(self._transport)
        chosen.data_received(self._received)
