"""Provide a gateway over handlers in this process, with a small template."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import yaml
from tests.support.gateway import Limits, ManualClock, StrictGateway
from tests.support.gateway.faults import Faults
from tests.support.gateway.functions import HandlerFunctions
from tests.support.gateway.template import apis_of
from websockets.asyncio.client import ClientConnection, connect

TEMPLATE = """
Resources:
  Chat:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.type
      Auth:
        AuthType: CUSTOM
        AuthArn: {"Fn::GetAtt": [Guard, Arn]}
        IdentitySource: [route.request.header.Authorization]
      DefaultRouteSettings: {ThrottlingRateLimit: 2000, ThrottlingBurstLimit: 1000}
      Routes:
        $connect: {FunctionArn: {"Fn::GetAtt": [Door, Arn]}}
        $disconnect: {FunctionArn: {"Fn::GetAtt": [Door, Arn]}}
        echo: {FunctionArn: {"Fn::GetAtt": [Echo, Arn]}, RouteResponseSelectionExpression: $default}
        tell: {FunctionArn: {"Fn::GetAtt": [Echo, Arn]}, RouteResponseSelectionExpression: $default}
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: {Ref: Chat}, RouteId: {Ref: ChatEchoRoute}, RouteResponseKey: $default}
"""

Policies = Mapping[str, Mapping[str, Any]]


@dataclass
class StubFunctions:
    """What the functions do, and the events that they received. Replace a field to change their behaviour."""

    guard: Callable[[dict[str, Any]], Any] = field(
        default=lambda event: {
            "principalId": "somebody",
            "context": {"principal": "alice", "level": 3},
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}],
            },
        }
    )
    door: Callable[[dict[str, Any]], Any] = field(default=lambda _event: {"statusCode": 200})
    echo: Callable[[dict[str, Any]], Any] = field(default=lambda event: {"statusCode": 200, "body": event["body"]})
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def functions(self, policies: Policies | None = None) -> HandlerFunctions:
        def run(name: str) -> Callable[[dict[str, Any]], Any]:
            def handler(event: dict[str, Any]) -> Any:
                self.asked.append((name, event))
                return getattr(self, name)(event)

            return handler

        return HandlerFunctions({"Guard": run("guard"), "Door": run("door"), "Echo": run("echo")}, policies)

    def kinds(self, name: str = "door") -> list[str]:
        """Return the kinds of events that a function received."""
        return [event["requestContext"]["eventType"] for asked, event in self.asked if asked == name]


class GatewayHarness:
    """A gateway, its functions, and clients that connect to it."""

    def __init__(
        self, stage: StubFunctions, gateway: StrictGateway, exits: AsyncExitStack, http: httpx.AsyncClient
    ) -> None:
        self.stage = stage
        self.gateway = gateway
        self.http = http
        self._exits = exits

    async def join(self, **more: Any) -> ClientConnection:
        """Connect a client with a credential."""
        more = {"additional_headers": {"Authorization": "Bearer x"}, "ping_interval": None, **more}
        address = self.gateway.address("Chat") + more.pop("query", "")
        return await self._exits.enter_async_context(connect(address, compression=None, **more))

    @property
    def connection_id(self) -> str:
        """Return the id of the client that connected last."""
        connects = [event for name, event in self.stage.asked if name == "door"]
        return str(connects[-1]["requestContext"]["connectionId"])

    def path(self, connection_id: str) -> str:
        """Return a connection's path in the management API."""
        return f"{self.gateway.base}/chat/live/@connections/{connection_id.replace('=', '%3D')}"

    async def post(self, connection_id: str, body: bytes = b"hello") -> httpx.Response:
        """Call PostToConnection."""
        return await self.http.post(self.path(connection_id), content=body)


Open = Callable[..., Any]


@pytest.fixture
async def open_chat() -> AsyncIterator[Open]:
    """Make gateways that end with the test."""
    async with AsyncExitStack() as exits:

        async def make(
            *,
            stage: StubFunctions | None = None,
            limits: Limits | None = None,
            faults: Faults | None = None,
            clock: ManualClock | None = None,
            seed: int = 1,
            template: str = TEMPLATE,
            policies: Policies | None = None,
        ) -> GatewayHarness:
            stage = stage or StubFunctions()
            gateway = StrictGateway(
                apis_of(yaml.safe_load(template)),
                stage.functions(policies),
                limits=limits,
                faults=faults,
                clock=clock,
                seed=seed,
            )
            await exits.enter_async_context(gateway)
            http = await exits.enter_async_context(httpx.AsyncClient())
            return GatewayHarness(stage, gateway, exits, http)

        yield make


def echo(**fields: Any) -> str:
    """Return a message of the route that answers."""
    return json.dumps({"type": "echo", **fields})
