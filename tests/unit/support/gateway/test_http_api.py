"""Test the limits of an HTTP API, which stands before the functions of another cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web
from tests.support.gateway import Limits, ManualClock, StrictGateway
from tests.support.gateway.functions import HandlerFunctions
from tests.support.gateway.http_api import http_apis_of

TEMPLATE = """
Resources:
  Http:
    Type: AWS::ApiGatewayV2::Api
    Properties: {ProtocolType: HTTP}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties:
      ApiId: {Ref: Http}
      StageName: $default
      DefaultRouteSettings: {ThrottlingRateLimit: 2000, ThrottlingBurstLimit: 1000}
  Authorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties: {ApiId: {Ref: Http}, AuthorizerUri: {"Fn::Sub": "arn:${AWS::Partition}:x/${Guard.Arn}/invocations"}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: {Ref: Http}, IntegrationUri: {"Fn::GetAtt": [Reader, Arn]}}
  All:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: {Ref: Http}
      RouteKey: ANY /api/{proxy+}
      AuthorizerId: {Ref: Authorizer}
      Target: {"Fn::Sub": "integrations/${Integration}"}
  One:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: {Ref: Http}, RouteKey: GET /page, Target: {"Fn::Sub": "integrations/${Integration}"}}
"""
SERVICE = {"Service": "apigateway.amazonaws.com"}
IDS = {"Http": "http1", "Authorizer": "auth1"}


def policy(*sources: str) -> dict[str, Any]:
    """Return a policy with a permission for each source."""
    return {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Principal": SERVICE,
                "Condition": {
                    "ArnLike": {"AWS:SourceArn": f"arn:aws:execute-api:us-east-1:000000000000:http1/{source}"}
                },
            }
            for source in sources
        ]
    }


POLICIES = {"Reader": policy("$default/*/api/{proxy+}", "$default/GET/page"), "Guard": policy("authorizers/auth1")}
OpenHttp = Callable[..., Any]


class Upstream:
    """The emulator: it answers after `wait`, and counts."""

    def __init__(self) -> None:
        self.seen = 0
        self.text = ""
        self.wait = asyncio.Event()
        self.wait.set()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request."""
        self.seen += 1
        await request.read()
        await self.wait.wait()
        return web.json_response({"path": request.path, "text": self.text})


@pytest.fixture
async def open_http() -> AsyncIterator[OpenHttp]:
    """Make gateways before an upstream; return a client of the HTTP API, the gateway and the upstream."""
    async with AsyncExitStack() as exits:

        async def make(
            *, limits: Limits | None = None, clock: ManualClock | None = None, policies: Any = None
        ) -> tuple[httpx.AsyncClient, StrictGateway, Upstream]:
            upstream = Upstream()
            app = web.Application(client_max_size=64 * 1024**2)
            app.router.add_route("*", "/{rest:.*}", upstream.handle)
            runner = web.AppRunner(app, max_field_size=65_536)
            await runner.setup()
            exits.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            gateway = StrictGateway(
                {},
                HandlerFunctions({}, POLICIES | (policies or {})),
                ids=IDS,
                http=http_apis_of(yaml.safe_load(TEMPLATE)),
                upstream=f"http://127.0.0.1:{runner.addresses[0][1]}",
                limits=limits,
                clock=clock,
            )
            await exits.enter_async_context(gateway)
            client = await exits.enter_async_context(httpx.AsyncClient(base_url=f"{gateway.base}/http1", timeout=60))
            return client, gateway, upstream

        yield make


async def test_permitted_request_passes(open_http: OpenHttp) -> None:
    """Whatever its verb."""
    http, gateway, upstream = await open_http()
    for verb in ("GET", "POST", "DELETE"):
        assert (await http.request(verb, "/api/jobs")).status_code == 200
    assert (await http.get("/page")).status_code == 200
    assert upstream.seen == 4
    assert gateway.violations == []


@pytest.mark.parametrize(
    "policies",
    [
        {"Reader": policy("$default/ANY/api/{proxy+}")},
        {"Reader": policy("$default/GET/api/{proxy+}")},
        {"Guard": policy("authorizers/other")},
        {"Guard": {}},
    ],
    ids=["ANY alone", "one verb alone", "another authorizer", "none"],
)
async def test_request_without_every_permission_is_500(open_http: OpenHttp, policies: Any) -> None:
    """No function runs."""
    http, gateway, upstream = await open_http(policies=policies)
    assert (await http.get("/api/jobs")).status_code == 500
    assert upstream.seen == 0
    assert len(gateway.violations) == 1


async def test_request_without_a_route_is_404(open_http: OpenHttp) -> None:
    """`{proxy+}` stands for at least one part of a path."""
    http, _, upstream = await open_http()
    for path in ("/other", "/api", "/page/more"):
        assert (await http.get(path)).status_code == 404
    assert (await http.post("/page")).status_code == 404
    assert upstream.seen == 0


async def test_requests_beyond_the_stages_throttle_are_429(open_http: OpenHttp) -> None:
    """Clients have to wait and try again."""
    http, _, upstream = await open_http(limits=Limits(requests_per_s=0.001, request_burst=2))
    assert [(await http.get("/page")).status_code for _ in range(3)] == [200, 200, 429]
    assert upstream.seen == 2


async def test_body_of_more_than_10_mib_is_413(open_http: OpenHttp) -> None:
    """The largest body passes."""
    http, _, upstream = await open_http()
    assert (await http.post("/api/jobs", content=b"x" * 10 * 1024**2)).status_code == 200
    assert (await http.post("/api/jobs", content=b"x" * (10 * 1024**2 + 1))).status_code == 413
    assert upstream.seen == 1


async def test_answer_that_lambda_does_not_pass_on_is_500(open_http: OpenHttp) -> None:
    """Quotes count twice: the answer is JSON within JSON."""
    http, gateway, upstream = await open_http()
    upstream.text = "x" * 6_000_000
    assert (await http.get("/page")).status_code == 200
    upstream.text = '"' * 1_600_000
    assert (await http.get("/page")).status_code == 500
    assert [one.partition(" has ")[0] for one in gateway.violations] == [
        "the answer to GET /_aws/execute-api/http1/page"
    ]


async def test_head_of_more_than_10240_bytes_is_431(open_http: OpenHttp) -> None:
    """A token that carries every group of its user may be that long."""
    http, _, upstream = await open_http()
    assert (await http.get("/page", headers={"Authorization": "x" * 9_000})).status_code == 200
    assert (await http.get("/page", headers={"Authorization": "x" * 10_300})).status_code == 431
    assert upstream.seen == 1


async def test_function_that_takes_30_s_is_503(open_http: OpenHttp) -> None:
    """It runs on, and its answer goes nowhere."""
    clock = ManualClock()
    http, _, upstream = await open_http(clock=clock)
    upstream.wait.clear()
    asked = asyncio.ensure_future(http.get("/page"))
    while not upstream.seen:
        await asyncio.sleep(0.01)
    clock.advance(29.9)
    assert not asked.done()
    clock.advance(0.2)
    assert (await asked).status_code == 503
    upstream.wait.set()
