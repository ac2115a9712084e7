"""Serve HTTP: the @connections management API, control of the gateway itself, and pass-through of everything else.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from tests.support.gateway.http_api import refused_sources
from tests.support.lambda_limits import ANSWER_BYTES, excess_of
from yarl import URL

if TYPE_CHECKING:
    from tests.support.gateway.gateway import StrictGateway

GONE = "GoneException"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"}
TABLES = "DynamoDB_20120810."


class Management:
    """The HTTP side of a gateway."""

    def __init__(self, gateway: StrictGateway, upstream: str | None) -> None:
        self._gateway = gateway
        self._upstream = upstream.rstrip("/") if upstream else None
        self._permitted: set[tuple[str, str, str]] = set()
        self._session: ClientSession | None = None
        self._turns = asyncio.Semaphore(gateway.limits.concurrency)

    def app(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_get("/_gateway", self._state)
        app.router.add_put("/_gateway/faults", self._set_faults)
        app.router.add_post("/_gateway/cut", self._cut)
        app.router.add_post("/_gateway/policies", self._read_policies)
        app.router.add_route("*", "/_aws/execute-api/{api}/{stage}/@connections/{id}", self._connections)
        app.router.add_route("*", "/{rest:(?s:.*)}", self._pass_on)
        return app

    async def open(self) -> None:
        """Open the client side; needs a running loop."""
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=120),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close the client side."""
        if self._session is not None:
            await self._session.close()

    # --- @connections ------------------------------------------------------------------------------------------------

    async def _connections(self, request: web.Request) -> web.StreamResponse:
        api_id, body = request.match_info["api"], await request.read()
        client = self._gateway.client(request.match_info["id"])
        if client is None or client.api_id != api_id:
            # The emulator may hold it; otherwise this is 410 for an id that is gone, or 403 for a caller without
            # the permission.
            return await self._forward(request, body) if self._upstream else _error(410, GONE, GONE)
        refused = await self._check_permission(request, body)
        if refused is not None:
            return refused
        gateway = self._gateway
        if request.method == "GET":
            return web.json_response(
                {
                    "connectedAt": _iso(client.handshake.connected_ms / 1000),
                    "identity": {
                        "sourceIp": client.handshake.source_ip,
                        "userAgent": client.handshake.header("user-agent") or "",
                    },
                    "lastActiveAt": _iso(time.time() - (gateway.clock.now() - client.active)),
                }
            )
        if request.method == "DELETE":
            client.close(1000, "Connection Closed Normally")
            gateway.forget(client)
            return web.Response(status=204)
        if request.method != "POST":
            return _error(403, "ForbiddenException", "Missing Authentication Token")
        if len(body) > gateway.limits.message_bytes:
            gateway.violation(f"a post of {len(body)} bytes")
            return _error(413, "PayloadTooLargeException", "Payload too large")
        if gateway.dice.happens("throttle push", gateway.faults.throttle_push):
            return _error(429, "LimitExceededException", "Rate exceeded")
        return await self._post(client.id, body.decode("utf-8", errors="replace"))

    async def _post(self, connection_id: str, text: str) -> web.Response:
        gateway, faults = self._gateway, self._gateway.faults
        gateway.counts["push"] += 1
        if gateway.dice.happens("lose push", faults.lose_push):
            return web.Response()
        times = 2 if gateway.dice.happens("repeat push", faults.repeat_push) else 1
        if faults.delay_push_s or times > 1:
            for _ in range(times):
                gateway.spawn(self._deliver_later(connection_id, text, gateway.dice.random_delay(faults.delay_push_s)))
            return web.Response()
        client = gateway.client(connection_id)
        if client is None:
            return _error(410, GONE, GONE)
        if not client.send(text):
            gateway.counts["client buffer full"] += 1
            return _error(429, "LimitExceededException", "The WebSocket client side buffer is full")
        return web.Response()

    async def _deliver_later(self, connection_id: str, text: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        client = self._gateway.client(connection_id)
        if client is not None:
            client.send(text)

    async def _check_permission(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        """Ask the emulator, which has no such connection: it answers 410 to a permitted caller, and 403 to another."""
        if self._upstream is None:
            return None
        caller = request.headers.get("Authorization", "").partition(",")[0].partition("/")[0]
        question = (caller, request.method, request.path.rpartition("/")[0])
        if question in self._permitted:
            return None
        answer = await self._forward(request, body)
        if answer.status != 410:
            return answer
        self._permitted.add(question)
        return None

    # --- the gateway itself ------------------------------------------------------------------------------------------

    async def _state(self, _request: web.Request) -> web.StreamResponse:
        gateway = self._gateway
        return web.json_response(
            {
                "counts": dict(gateway.counts),
                "violations": gateway.violations,
                "connections": len(gateway.clients),
                "addresses": {name: gateway.address(name) for name in gateway.apis},
                "faults": dataclasses.asdict(gateway.faults),
            }
        )

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        self._gateway.faults = type(self._gateway.faults)(**await request.json())
        return web.Response(status=204)

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        """Cut every connection of one API (`?api=Agents`), or of all."""
        wanted = request.query.get("api")
        ids = {self._gateway.ids[wanted]} if wanted else set(self._gateway.ids.values())
        for client in list(self._gateway.clients.values()):
            if client.api_id in ids:
                client.cut()
        return web.Response(status=204)

    async def _read_policies(self, _request: web.Request) -> web.StreamResponse:
        """Read the functions' policies again, after somebody changed them."""
        await self._gateway.functions.read_policies()
        return web.Response(status=204)

    # --- everything else ---------------------------------------------------------------------------------------------

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if self._upstream is None:
            return web.json_response({"message": "Not Found"}, status=404)
        faults, dice = self._gateway.faults, self._gateway.dice
        body = await request.read()
        if request.headers.get("X-Amz-Target", "").startswith(TABLES):
            if dice.happens("throttle table", faults.throttle_table):
                return _table_throttled()
            if dice.happens("slow table", faults.slow_table):
                await asyncio.sleep(faults.slow_table_s)
            answer = await self._forward(request, body)
            if dice.happens("fail table after", faults.fail_table_after):
                assert request.transport is not None
                request.transport.abort()
            return answer
        if not request.path.startswith("/_aws/execute-api/"):
            return await self._forward(request, body)
        refused = self._refused(request, body)
        if refused is not None:
            return refused
        # The emulator would start a process for each waiting request, until none of them advances.
        async with self._turns:
            if request.transport is None or request.transport.is_closing():
                return web.Response(status=499)
            return await self._in_time(request, body)

    def _refused(self, request: web.Request, body: bytes) -> web.Response | None:
        """Return what an HTTP API answers itself, before any function runs."""
        gateway, limits = self._gateway, self._gateway.limits
        if gateway.dice.happens("throttle http", gateway.faults.http_throttle):
            return _http_error(429, "Too Many Requests")
        _, _, api_id, *rest = request.path.lstrip("/").split("/")
        api = gateway.http.get(api_id)
        if api is None:
            return None
        if not gateway.may_pass(api):
            return _http_error(429, "Too Many Requests")
        if len(body) > limits.http_body_bytes:
            return _http_error(413, "Request Entity Too Large")
        if _head_bytes(request) > limits.http_head_bytes:
            return _http_error(431, "Request Header Fields Too Large")
        route = api.route_for(request.method, "/".join(rest))
        if route is None:
            return _http_error(404, "Not Found")
        refused = refused_sources(api, route, gateway.ids, gateway.functions)
        if refused:
            gateway.violation(f"{request.method} {request.path}: no permission for {', '.join(refused)}")
            return _http_error(500, "Internal Server Error")
        return None

    async def _in_time(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Pass a request on; the function runs on after the timeout."""
        answer = asyncio.ensure_future(self._forward(request, body))
        clock, limits = self._gateway.clock, self._gateway.limits
        limit = asyncio.ensure_future(clock.sleep_until(clock.now() + limits.http_integration_s))
        await asyncio.wait({answer, limit}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        if not answer.done():
            self._gateway.spawn(_outcome_of(answer))
            return _http_error(503, "Service Unavailable")
        return self._within_lambdas_limit(request, answer.result())

    def _within_lambdas_limit(self, request: web.Request, answer: web.Response) -> web.Response:
        """Return a function's answer, or what its client gets if Lambda does not pass it on."""
        text = answer.body.decode(errors="replace") if isinstance(answer.body, bytes) else ""
        document = {"statusCode": answer.status, "headers": dict(answer.headers), "body": text}
        excess = excess_of(f"the answer to {request.method} {request.path}", document, ANSWER_BYTES)
        if excess is None:
            return answer
        self._gateway.violation(excess)
        return _http_error(500, "Internal Server Error")

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        """Pass a request on unchanged, with its Host: signatures cover it."""
        assert self._session is not None
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        url = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False
            ) as answer:
                kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
                response = web.Response(status=answer.status, body=await answer.read())
                for name, value in kept:
                    if name.lower() not in ("content-type",):
                        response.headers.add(name, value)
                if "Content-Type" in answer.headers:
                    response.headers["Content-Type"] = answer.headers["Content-Type"]
                return response
        except (ClientError, TimeoutError, OSError):
            return web.json_response({"message": "Service Unavailable"}, status=503)


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status, headers={"x-amzn-ErrorType": kind})


def _http_error(status: int, message: str) -> web.Response:
    """Return an error of the HTTP API's own. Its documents have the message alone."""
    return web.json_response({"message": message}, status=status)


def _head_bytes(request: web.Request) -> int:
    """Return the size of the request line and of all header values, as the quota counts them."""
    return len(request.method) + len(request.raw_path) + sum(len(value.encode()) for value in request.headers.values())


async def _outcome_of(answer: asyncio.Future[web.Response]) -> None:
    await answer


def _table_throttled() -> web.Response:
    document = {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The level of configured provisioned throughput for the table was exceeded.",
    }
    return web.Response(status=400, text=json.dumps(document), content_type="application/x-amz-json-1.0")


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
