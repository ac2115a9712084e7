"""What the gateway does to the functions' DynamoDB calls that come through it."""

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
from tests.unit.gateway.conftest import TEMPLATE

from runtime.aws_errors import THROTTLING_CODES


@dataclass
class Table:
    """Something that answers DynamoDB's calls, and remembers them."""

    put: list[Any] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.put.append((request.headers["X-Amz-Target"], json.loads(await request.read())))
        return web.Response(text="{}", content_type="application/x-amz-json-1.0")


@dataclass
class Around:
    """A gateway before a table, and clients as the functions have them."""

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
async def around() -> AsyncIterator[Around]:
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
        yield Around(gateway, table)
    await runner.cleanup()


async def test_a_call_passes_as_it_came(around: Around) -> None:
    """On a good day."""
    await around.put()
    assert around.table.put == [("DynamoDB_20120810.PutItem", {"TableName": "log", "Item": {"job": {"S": "j"}}})]


async def test_a_throttled_call_is_not_carried_out(around: Around) -> None:
    """It gets the error that DynamoDB's own throttling has."""
    around.gateway.faults = Faults(throttle_table=1.0)
    with pytest.raises(ClientError) as refused:
        await around.put()
    assert refused.value.response["Error"]["Code"] in THROTTLING_CODES
    assert around.table.put == []
    assert around.gateway.counts["throttle table"] == 1


async def test_a_call_may_be_carried_out_and_its_answer_lost(around: Around) -> None:
    """The put is done; the function sees a broken connection."""
    around.gateway.faults = Faults(fail_table_after=1.0)
    with pytest.raises(BotoCoreError):
        await around.put()
    assert len(around.table.put) == 1


async def test_a_slow_call_outlasts_the_functions_patience_and_is_carried_out_all_the_same(around: Around) -> None:
    """As a late put is, while the batch is sent again."""
    around.gateway.faults = Faults(slow_table=1.0, slow_table_s=1.0)
    with pytest.raises(BotoCoreError):
        await around.put(patience_s=0.5)
    around.gateway.faults = Faults()
    await around.put()
    async with asyncio.timeout(30):
        while len(around.table.put) < 2:
            await asyncio.sleep(0.05)
