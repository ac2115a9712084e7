"""Test whom the functions' policies let invoke them, and that a call without a permission fails as on AWS."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.gateway.permissions import arn_like, http_sources, permits
from tests.unit.support.gateway.conftest import Open, echo
from tests.unit.support.gateway.test_handshake import refused

API = "arn:aws:execute-api:us-east-1:000000000000:chat"
EVERYTHING = ("authorizers/*", "live/$connect", "live/$disconnect", "live/echo", "live/tell")


def policy(*sources: str, **more: Any) -> dict[str, Any]:
    """Return a policy that allows the API's calls for these routes and authorizers."""
    statement = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        **more,
    }
    return {
        "Statement": [
            {**statement, "Condition": {"ArnLike": {"AWS:SourceArn": f"{API}/{source}"}}} for source in sources
        ]
    }


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("arn:aws:execute-api:*:*:chat/$default/*/{proxy+}", True),
        ("arn:aws:execute-api:eu-west-1:1:chat/$default/GET/{proxy+}", True),
        ("arn:aws:execute-api:eu-west-1:1:chat/*", True),
        ("arn:aws:execute-api:eu-west-?:1:chat/$default/GE?/{proxy+}", True),
        ("arn:aws:execute-api:eu-west-1:1:chat/$default/ANY/{proxy+}", False),
        ("arn:aws:execute-api:eu-west-1:1:chat/$default/GET/*/x", False),
        ("arn:aws:execute-api:*:chat/$default/GET/{proxy+}", False),
        ("*", False),
    ],
)
def test_pattern_matches_within_each_part_of_an_arn(pattern: str, matches: bool) -> None:
    """A wildcard does not cross a colon, and brackets are no wildcards."""
    assert arn_like(pattern, "arn:aws:execute-api:eu-west-1:1:chat/$default/GET/{proxy+}") is matches


def test_route_for_any_verb_may_be_named_in_each_way() -> None:
    """Only a wildcard in the permission covers them all."""
    sources = http_sources(API, "$default", "ANY /{proxy+}")
    assert f"{API}/$default/PATCH/{{proxy+}}" in sources
    assert f"{API}/$default/ANY/{{proxy+}}" in sources
    assert all(permits(policy("$default/*/{proxy+}"), source) for source in sources)
    assert not all(permits(policy("$default/ANY/{proxy+}"), source) for source in sources)
    assert http_sources(API, "$default", "GET /jobs") == [f"{API}/$default/GET/jobs"]
    assert http_sources(API, "$default", "$default") == [f"{API}/$default/$default"]


def test_statement_must_allow_api_gateway_to_invoke() -> None:
    """Another service, another action and a denial permit nothing."""
    source = f"{API}/live/echo"
    assert permits(policy("live/*"), source)
    assert not permits(policy("live/*", Principal={"Service": "events.amazonaws.com"}), source)
    assert not permits(policy("live/*", Action="lambda:GetFunction"), source)
    assert not permits(policy("live/*", Effect="Deny"), source)
    assert not permits({"Statement": []}, source)
    with pytest.raises(ValueError, match="StringLike"):
        permits(policy("live/*", Condition={}) | {"Statement": [
            {**policy("live/*")["Statement"][0], "Condition": {"StringLike": {"AWS:SourceArn": "*"}}}
        ]}, source)  # fmt: skip


def policies(*allowed: str) -> dict[str, dict[str, Any]]:
    """Return all functions' policies with permissions for these calls only."""
    return {name: policy(*allowed) for name in ("Guard", "Door", "Echo")}


async def test_call_with_its_permission_is_made(open_chat: Open) -> None:
    """The whole conversation works with exactly the permissions that SAM makes."""
    chat = await open_chat(policies=policies(*EVERYTHING))
    client = await chat.join()
    await client.send(echo(n=1))
    assert json.loads(await client.recv()) == {"type": "echo", "n": 1}
    await client.close()
    while chat.stage.kinds() != ["CONNECT", "DISCONNECT"]:
        await asyncio.sleep(0.01)
    assert chat.gateway.violations == []


@pytest.mark.parametrize("missing", ["authorizers/*", "live/$connect"])
async def test_handshake_without_a_permission_is_500(open_chat: Open, missing: str) -> None:
    """No connection is made, and the function does not run."""
    chat = await open_chat(policies=policies(*(one for one in EVERYTHING if one != missing)))
    assert await refused(chat) == 500
    assert chat.stage.kinds() == []
    assert chat.gateway.clients == {}


async def test_message_without_a_permission_is_an_internal_error(open_chat: Open) -> None:
    """The function does not run, and the connection stays open."""
    chat = await open_chat(policies=policies(*(one for one in EVERYTHING if one != "live/echo")))
    client = await chat.join()
    await client.send(echo())
    assert json.loads(await client.recv())["message"] == "Internal server error"
    assert chat.stage.kinds("echo") == []
    assert chat.gateway.violations == [f"Echo may not be invoked for {API}/live/echo"]
