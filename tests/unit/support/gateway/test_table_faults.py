"""Test the faults that the gateway injects into the functions' DynamoDB calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
import yaml
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.support.gateway import StrictGateway
from tests.support.gateway.faults import Faults
from tests.support.gateway.functions import HandlerFunctions
from tests.support.gateway.template import apis_of
from tests.unit.support.gateway.conftest import TEMPLATE

from runtime.aws_errors import THROTTLING_CODES


@dataclass
class Table:
    """Answer DynamoDB's calls and record them."""

    put: list[Any] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.put.append((request.headers["X-Amz-Target"], json.loads(await request.read())))
        return web.Response(text="{}", content_type="application/x-amz-json-1.0")


@dataclass
class GatewayAndTable:
    """A gateway in front of a table, and clients as the functions have them."""

    gateway: StrictGateway
    table: Table

    async def put(self, patience_s: float = 60.0) -> Any:
        client = boto3.client(
            "dynamodb",
            endpoint_url=self.gateway.url,
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(read_timeout=patience_s, retries={"total_max_attempts": 1}),
        )
        return await asyncio.to_thread(client.put_item, TableName="log", Item={"job": {"S": "j"}})


@pytest.fixture
async def gateway_and_table() -> AsyncIterator[GatewayAndTable]:
    table, app = Table(), web.Application()
    app.router.add_post("/", table.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    gateway = StrictGateway(
        apis_of(yaml.safe_load(TEMPLATE)), HandlerFunctions({}), upstream=f"http://127.0.0.1:{port}"
    )
    async with gateway:
        yield GatewayAndTable(gateway, table)
    await runner.cleanup()


async def test_call_passes_unchanged(gateway_and_table: GatewayAndTable) -> None:
    """Without faults."""
    await gateway_and_table.put()
    assert gateway_and_table.table.put == [
        ("DynamoDB_20120810.PutItem", {"TableName": "log", "Item": {"job": {"S": "j"}}})
    ]


async def test_throttled_call_is_not_carried_out(gateway_and_table: GatewayAndTable) -> None:
    """It gets the error of DynamoDB's own throttling."""
    gateway_and_table.gateway.faults = Faults(throttle_table=1.0)
    with pytest.raises(ClientError) as refused:
        await gateway_and_table.put()
    assert refused.value.response["Error"]["Code"] in THROTTLING_CODES
    assert gateway_and_table.table.put == []
    assert gateway_and_table.gateway.counts["throttle table"] == 1


async def test_call_may_be_carried_out_without_an_answer(gateway_and_table: GatewayAndTable) -> None:
    """The put is done; the function sees a broken connection."""
    gateway_and_table.gateway.faults = Faults(fail_table_after=1.0)
    with pytest.raises(BotoCoreError):
        await gateway_and_table.put()
    assert len(gateway_and_table.table.put) == 1


async def test_slow_call_is_carried_out_after_the_functions_timeout(gateway_and_table: GatewayAndTable) -> None:
    """Like a late put, while the batch is resent."""
    gateway_and_table.gateway.faults = Faults(slow_table=1.0, slow_table_s=1.0)
    with pytest.raises(BotoCoreError):
        await gateway_and_table.put(patience_s=0.5)
    gateway_and_table.gateway.faults = Faults()
    await gateway_and_table.put()
    async with asyncio.timeout(30):
        while len(gateway_and_table.table.put) < 2:
            await asyncio.sleep(0.05)
