"""Test the @connections management API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.support.gateway import Faults, Limits, ManualClock
from tests.unit.support.gateway.conftest import Open, StubFunctions, echo
from websockets.exceptions import ConnectionClosed


async def test_post_reaches_the_client(open_chat: Open) -> None:
    """With an id that the path has to escape."""
    chat = await open_chat()
    client = await chat.join()
    assert (await chat.post(chat.connection_id, "grüß dich".encode())).status_code == 200
    assert await client.recv() == "grüß dich"


async def test_post_to_a_closed_connection_is_410(open_chat: Open) -> None:
    """From the moment of closing; the same for one that never existed."""
    chat = await open_chat()
    client = await chat.join()
    await client.close()
    while chat.stage.kinds()[-1] != "DISCONNECT":
        await asyncio.sleep(0.01)
    for connection_id in (chat.connection_id, "never="):
        answer = await chat.post(connection_id)
        assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (410, "GoneException")


async def test_post_from_the_connect_route_is_410(open_chat: Open) -> None:
    """The connection does not exist until $connect has returned.

    https://repost.aws/knowledge-center/410-gone-api-gateway
    """
    statuses: list[int] = []

    def door(event: dict[str, Any]) -> dict[str, Any]:
        if event["requestContext"]["eventType"] == "CONNECT":
            path = chat.path(event["requestContext"]["connectionId"])
            statuses.append(httpx.post(path, content=b"too early").status_code)
        return {"statusCode": 200}

    chat = await open_chat(stage=StubFunctions(door=door))
    await chat.join()
    assert statuses == [410]


async def test_post_of_more_than_128_kib_is_413(open_chat: Open) -> None:
    """One of more than 32 KiB arrives in frames and is counted: it is billed as more than one."""
    chat = await open_chat()
    client = await chat.join()
    assert (await chat.post(chat.connection_id, b"x" * 131_073)).status_code == 413
    assert (await chat.post(chat.connection_id, b"x" * 131_072)).status_code == 200
    pieces = [piece async for piece in client.recv_streaming()]
    assert [sum(map(len, pieces)), max(map(len, pieces)) <= 32_768] == [131_072, True]
    assert len(chat.gateway.violations) == 2


async def test_client_that_does_not_read_is_429_when_its_buffer_is_full(open_chat: Open) -> None:
    """The others are served."""
    chat = await open_chat(limits=Limits(client_buffer_bytes=100_000))
    slow = await chat.join(max_queue=1)
    slow_id = chat.connection_id
    quick = await chat.join()
    slow.transport.pause_reading()
    statuses = {(await chat.post(slow_id, b"x" * 30_000)).status_code for _ in range(300)}
    assert statuses == {200, 429}
    assert (await chat.post(chat.connection_id, b"for you")).status_code == 200
    assert await quick.recv() == "for you"
    slow.transport.abort()  # it would not answer a close either


async def test_get_describes_a_connection_and_delete_closes_it(open_chat: Open) -> None:
    """After a delete it is gone."""
    chat = await open_chat(clock=ManualClock())
    client = await chat.join(user_agent_header="tests")
    found = (await chat.http.get(chat.path(chat.connection_id))).json()
    assert found["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "tests"}
    assert set(found) == {"connectedAt", "identity", "lastActiveAt"}
    assert (await chat.http.delete(chat.path(chat.connection_id))).status_code == 204
    assert (await chat.http.get(chat.path(chat.connection_id))).status_code == 410
    with pytest.raises(ConnectionClosed):
        await client.recv()


async def test_push_may_be_lost_repeated_or_throttled(open_chat: Open) -> None:
    """Viewers meet a stream's at-least-once delivery and API Gateway's shared throttle."""
    chat = await open_chat(faults=Faults(lose_push=1.0))
    client = await chat.join()
    assert (await chat.post(chat.connection_id, b"lost")).status_code == 200
    chat.gateway.faults = Faults(repeat_push=1.0)
    assert (await chat.post(chat.connection_id, b"twice")).status_code == 200
    assert [await client.recv(), await client.recv()] == ["twice", "twice"]
    chat.gateway.faults = Faults(throttle_push=1.0)
    answer = await chat.post(chat.connection_id)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (429, "LimitExceededException")


async def test_gateway_is_controlled_over_http(open_chat: Open) -> None:
    """Faults are set, connections cut, and counts read."""
    chat = await open_chat()
    client = await chat.join()
    await chat.http.put(f"{chat.gateway.url}/_gateway/faults", json={"repeat_answer": 1.0})
    await client.send(echo(n=1))
    assert [json.loads(await client.recv())["n"] for _ in range(2)] == [1, 1]
    state = (await chat.http.get(f"{chat.gateway.url}/_gateway")).json()
    assert (state["counts"]["repeat answer"], state["connections"], state["violations"]) == (1, 1, [])
    await chat.http.post(f"{chat.gateway.url}/_gateway/cut")
    with pytest.raises(ConnectionClosed):
        await client.recv()
