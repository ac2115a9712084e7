"""Test who may connect (identity sources, authorizer, $connect) and what $disconnect receives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.gateway import Limits
from tests.unit.support.gateway.conftest import Open, StubFunctions
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


async def refused(chat: Any, **more: Any) -> int:
    """Return the status of a refused handshake."""
    with pytest.raises(InvalidStatus) as error:
        await chat.join(**more)
    return int(error.value.response.status_code)


async def test_handshake_without_the_identity_source_is_401_and_calls_no_function(open_chat: Open) -> None:
    """Junk costs nothing."""
    chat = await open_chat()
    assert await refused(chat, additional_headers={}) == 401
    assert await refused(chat, additional_headers={"Authorization": ""}) == 401
    assert chat.stage.asked == []


async def test_denying_policy_is_403(open_chat: Open) -> None:
    """Deny wins, and a policy about another resource allows nothing."""
    for effect, resource in (
        ("Deny", "*"),
        ("Allow", "arn:aws:execute-api:us-east-1:000000000000:other/live/$connect"),
    ):
        statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
        policy = {"principalId": "x", "policyDocument": {"Statement": [statement]}}
        chat = await open_chat(stage=StubFunctions(guard=_always(policy)))
        assert await refused(chat) == 403
        assert chat.stage.kinds("door") == []


def _always(policy: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda _event: policy


def _with_context(guard: Callable[[dict[str, Any]], Any], context: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda event: {**guard(event), "context": context}


def _raise(_event: dict[str, Any]) -> Any:
    raise RuntimeError


@pytest.mark.parametrize(
    "guard",
    [_raise, lambda _: {"isAuthorized": True}, lambda _: None],
    ids=["it raises", "the HTTP APIs' simple response", "nothing"],
)
async def test_authorizer_without_a_policy_is_500(open_chat: Open, guard: Any) -> None:
    """WebSocket APIs accept no simple response."""
    chat = await open_chat(stage=StubFunctions(guard=guard))
    assert await refused(chat) == 500


async def test_authorizers_context_is_flat_and_small(open_chat: Open) -> None:
    """A list is no context value, and 8 KB is the maximum."""
    for context in ({"groups": ["a", "b"]}, {"long": "x" * 9000}):
        chat = await open_chat(stage=StubFunctions(guard=_with_context(StubFunctions().guard, context)))
        assert await refused(chat) == 500


@pytest.mark.parametrize(
    ("door", "status"), [(lambda _: {"statusCode": 403}, 403), (_raise, 502), (lambda _: {"body": "?"}, 502)]
)
async def test_refusing_or_failing_connect_route_makes_no_connection(open_chat: Open, door: Any, status: int) -> None:
    """A connection that never existed is not disconnected."""
    chat = await open_chat(stage=StubFunctions(door=door))
    assert await refused(chat) == status
    assert chat.stage.kinds() == ["CONNECT"]
    assert chat.gateway.clients == {}


async def test_connect_sees_original_header_case_and_the_query(open_chat: Open) -> None:
    """API Gateway does not lower-case header names; the emulator does."""
    chat = await open_chat()
    await chat.join(query="?v=1&ticket=abc", additional_headers={"Authorization": "Bearer y", "X-Some": "a"})
    for _name, event in chat.stage.asked:
        assert event["headers"]["Authorization"] == "Bearer y"
        assert event["queryStringParameters"] == {"v": "1", "ticket": "abc"}
    await chat.join()
    assert "queryStringParameters" not in chat.stage.asked[-1][1]


async def test_connection_ids_need_escaping_like_those_of_aws(open_chat: Open) -> None:
    """They end in an equals sign."""
    chat = await open_chat()
    await chat.join()
    assert chat.connection_id.endswith("=")


async def test_subprotocol_is_agreed_only_if_connect_chooses_it(open_chat: Open) -> None:
    """Otherwise the handshake carries none, which browsers treat as a failure."""
    chat = await open_chat()
    assert (await chat.join(subprotocols=["v1"])).subprotocol is None
    chose = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "v1"}}
    chat = await open_chat(stage=StubFunctions(door=lambda _event: chose))
    assert (await chat.join(subprotocols=["v0", "v1"])).subprotocol == "v1"


async def test_url_of_more_than_4096_characters_is_refused(open_chat: Open) -> None:
    """Tickets must stay short."""
    chat = await open_chat()
    assert await refused(chat, query="?ticket=" + "x" * 4096) == 414


async def test_too_many_new_connections_are_429(open_chat: Open) -> None:
    """500 a second and account; here 2."""
    chat = await open_chat(limits=Limits(connects_per_s=0.001, connect_burst=2))
    await chat.join()
    await chat.join()
    assert await refused(chat) == 429


async def test_disconnect_receives_the_close_code(open_chat: Open) -> None:
    """After the connection is gone."""
    chat = await open_chat()
    client = await chat.join()
    await client.close(1000, "bye")
    while chat.stage.kinds() != ["CONNECT", "DISCONNECT"]:
        await asyncio.sleep(0.01)
    context = chat.stage.asked[-1][1]["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1000, "bye")
    assert context["routeKey"] == "$disconnect"


async def test_unknown_api_or_stage_is_forbidden(open_chat: Open) -> None:
    """Like a wrong host or path."""
    chat = await open_chat()
    chat.gateway.ids["Chat"], known = "nowhere", chat.gateway.ids["Chat"]
    address = chat.gateway.address("Chat")
    chat.gateway.ids["Chat"] = known
    with pytest.raises(InvalidStatus) as error:
        await connect(address)
    assert error.value.response.status_code == 403
