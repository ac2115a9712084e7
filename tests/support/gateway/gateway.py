"""The gateway as a whole: listen, open connections after authorizer and $connect, and keep them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import web
from tests.support.gateway import events
from tests.support.gateway.authorizer import RefusedError, context_of, require_identity
from tests.support.gateway.clock import Clock, RunningClock
from tests.support.gateway.connection import Client
from tests.support.gateway.events import Handshake
from tests.support.gateway.faults import FaultInjector, Faults
from tests.support.gateway.functions import Functions, Outcome
from tests.support.gateway.http_api import HttpApi
from tests.support.gateway.limits import Limits
from tests.support.gateway.management import Management
from tests.support.gateway.permissions import authorizer_source, websocket_source
from tests.support.gateway.protocol_switch import MAX_HEAD_BYTES, ProtocolSwitch
from tests.support.gateway.template import WebSocketApi
from tests.support.gateway.throttle import TokenBucket
from tests.support.lambda_limits import answer_excess
from websockets.asyncio.server import Server, ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

BASE = "/_aws/execute-api"


class StrictGateway:
    """API Gateway for the WebSocket APIs of a template. Use as an async context manager."""

    def __init__(
        self,
        apis: Mapping[str, WebSocketApi],
        functions: Functions,
        *,
        ids: Mapping[str, str] | None = None,
        upstream: str | None = None,
        limits: Limits | None = None,
        faults: Faults | None = None,
        clock: Clock | None = None,
        http: Mapping[str, HttpApi] | None = None,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.apis = apis
        self.functions = functions
        self.ids = dict(ids) if ids else {name: name.lower() for name in apis}
        """Physical ids by the names in the template."""
        self.http = {self.ids[name]: api for name, api in (http or {}).items()}
        """HTTP APIs by their ids."""
        self.limits = limits or Limits()
        self.faults = faults or Faults()
        """May be replaced while it runs."""
        self.clock: Clock = clock or RunningClock()
        self.counts: Counter[str] = Counter()
        self.dice = FaultInjector(seed, self.counts)
        self.violations: list[str] = []
        """Actions of the functions that API Gateway would refuse or bill more for."""
        self.clients: dict[str, Client] = {}
        self._host = host
        self._port = port
        self._management = Management(self, upstream)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opened: dict[ServerConnection, Client] = {}
        self._subprotocols: dict[ServerConnection, str] = {}
        now = self.clock.now()
        self._connects = TokenBucket(self.limits.connects_per_s, self.limits.connect_burst, now)
        throttled: dict[str, WebSocketApi | HttpApi] = {**apis, **(http or {})}
        self._buckets = {
            name: TokenBucket(self.limits.requests_per_s or api.rate, self.limits.request_burst or api.burst, now)
            for name, api in throttled.items()
        }

    # --- start and stop ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> StrictGateway:
        await self._management.open()
        self._runner = web.AppRunner(
            self._management.app(), access_log=None, max_line_size=MAX_HEAD_BYTES, max_field_size=MAX_HEAD_BYTES
        )
        await self._runner.setup()
        self._server = Server(self._listen, self._serve)
        await self._server.__aenter__()
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in list(self.clients.values()):
            client.close(1001, "Going away")
        await self._server.__aexit__(None, None, None)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()
        await self._management.close()

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        http = self._runner.server
        assert http is not None
        return await loop.create_server(
            lambda: ProtocolSwitch(self._new_socket, http), self._host, self._port, reuse_address=True, backlog=1024
        )

    @property
    def url(self) -> str:
        """Return the URL where it listens."""
        return f"http://{self._host}:{self._port}"

    @property
    def base(self) -> str:
        """Return the value of the template's parameter `GatewayBase`."""
        return f"{self.url}{BASE}"

    def address(self, api: str) -> str:
        """Return the address of an API for its clients, by its name in the template."""
        return f"ws://{self._host}:{self._port}{BASE}/{self.ids[api]}/{self.apis[api].stage}"

    def client(self, connection_id: str) -> Client | None:
        """Return an open connection."""
        return self.clients.get(connection_id)

    def forget(self, client: Client) -> None:
        """Remove a connection, which is 410 from now on."""
        self.clients.pop(client.id, None)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a task in the background."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def violation(self, what: str) -> None:
        """Record an event that must not happen."""
        self.violations.append(what)

    def count_message(self, size: int) -> None:
        """Count a message in increments of 32 KB, both ways (https://aws.amazon.com/api-gateway/pricing/)."""
        self.counts["metered"] += -(-size // 32_768) or 1

    def may_pass(self, api: WebSocketApi | HttpApi) -> bool:
        """Take a token from the API's throttle."""
        return self._buckets[api.name].take(self.clock.now())

    async def invoke_within(self, function: str, event: dict[str, Any], source_arn: str) -> Outcome | None:
        """Invoke a function; None when the integration timeout passed while the function runs on.

        `source_arn` names what it is invoked for. The emulator ignores the functions' policies.
        """
        if not self.functions.permits(function, source_arn):
            self.violation(f"{function} may not be invoked for {source_arn}")
            return Outcome(failed=True, permitted=False)
        self.counts[f"invoke {function}"] += 1
        running = asyncio.ensure_future(self.functions.invoke(function, event))
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        limit = asyncio.ensure_future(self.clock.sleep_until(self.clock.now() + self.limits.integration_s))
        await asyncio.wait({running, limit}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        if not running.done():
            return None
        outcome = running.result()
        excess = answer_excess(function, event, outcome.payload)
        if excess is not None:
            self.violation(excess)
            return Outcome(failed=True)
        return outcome

    # --- a new connection --------------------------------------------------------------------------------------------

    def _new_socket(self) -> ServerConnection:
        def select(_protocol: ServerProtocol, offered: Any) -> Subprotocol | None:
            chosen = self._subprotocols.pop(connection, None)
            return Subprotocol(chosen) if chosen is not None and chosen in offered else None

        protocol = ServerProtocol(
            select_subprotocol=select, max_size=(self.limits.message_bytes, self.limits.frame_bytes)
        )
        connection = ServerConnection(
            protocol, self._server, ping_interval=None, close_timeout=self.limits.close_wait_s, max_queue=None
        )
        return connection

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            async with asyncio.timeout(3 * self.limits.integration_s):
                await connection.handshake(self._process_request, None, None)
            if connection.protocol.state is not State.OPEN:
                connection.transport.abort()
                return
            self._server.all_connections.add(connection)
            client = self._opened.pop(connection)
            self.clients[client.id] = client
            self.counts["connect"] += 1
            try:
                await client.run()
            finally:
                self._server.all_connections.discard(connection)
        except Exception:  # a client that went away in its handshake must not stop the others
            connection.transport.abort()
        finally:
            self._opened.pop(connection, None)
            task = asyncio.current_task()
            assert task is not None
            self._server.handler_tasks.discard(task)

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        handshake = events.handshake_of(request.path, request.headers, connection.remote_address[0])
        try:
            api, api_id = self._api_at(request.path, handshake)
            if not self._connects.take(self.clock.now()):
                raise RefusedError(429, "Too Many Requests")
            await self._authorize(api, api_id, handshake)
            await self._connect(api, api_id, handshake, connection)
        except RefusedError as refused:
            self.counts[f"refused {refused.status}"] += 1
            document = events.refusal(refused.message, handshake.connection_id, events.new_request_id())
            body = json.dumps(document).encode()
            headers = Headers(
                {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            )
            return Response(refused.status, "", headers, body)
        self._opened[connection] = Client(self, api, api_id, handshake, connection)
        return None

    def _api_at(self, path: str, handshake: Handshake) -> tuple[WebSocketApi, str]:
        if len(f"{self.url}{path}") > self.limits.url_chars:
            raise RefusedError(414, "URI Too Long")
        for name, api in self.apis.items():
            if handshake.path == f"{BASE}/{self.ids[name]}/{api.stage}":
                return api, self.ids[name]
        raise RefusedError(403, "Forbidden")

    async def _authorize(self, api: WebSocketApi, api_id: str, handshake: Handshake) -> None:
        if api.authorizer is None:
            return
        require_identity(handshake, api.identity_sources)
        arn = events.method_arn(api_id, api.stage)
        event = {
            "type": "REQUEST",
            "methodArn": arn,
            "stageVariables": {},
            "requestContext": events.request_context(
                handshake, api_id, api.stage, "$connect", "CONNECT", events.new_request_id()
            ),
            **events.connect_fields(handshake),
        }
        source = authorizer_source(events.api_arn(api_id), self.ids.get(api.authorizer_id, api.authorizer_id))
        outcome = await self.invoke_within(api.authorizer, event, source)
        if outcome is None or outcome.failed:
            raise RefusedError(500, "Internal server error")
        handshake.authorizer = context_of(outcome.payload, arn, self.limits.authorizer_bytes)

    async def _connect(
        self, api: WebSocketApi, api_id: str, handshake: Handshake, connection: ServerConnection
    ) -> None:
        route = api.routes.get("$connect")
        if route is None:
            return
        context = events.request_context(handshake, api_id, api.stage, "$connect", "CONNECT", events.new_request_id())
        event = {"requestContext": context, "isBase64Encoded": False, **events.connect_fields(handshake)}
        source = websocket_source(events.api_arn(api_id), api.stage, route.key)
        outcome = await self.invoke_within(route.function, event, source)
        if outcome is None:
            raise RefusedError(504, "Endpoint request timed out")
        if not outcome.permitted:
            raise RefusedError(500, "Internal server error")
        payload = outcome.payload
        if outcome.failed or not isinstance(payload, dict) or not isinstance(payload.get("statusCode"), int):
            raise RefusedError(502, "Internal server error")
        if not 200 <= payload["statusCode"] < 300:
            raise RefusedError(payload["statusCode"], "Forbidden")
        # "If the client asks for subprotocols, your $connect integration must return one": it is not chosen here.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-connect-route-subprotocol.html
        for name, value in (payload.get("headers") or {}).items():
            if name.lower() == "sec-websocket-protocol":
                self._subprotocols[connection] = value
