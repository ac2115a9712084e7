"""Test that handlers in tests are held to Lambda's limits."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import lambda_limits
from tests.support.cloud import cloud_in_memory
from tests.support.gateway.functions import HandlerFunctions
from tests.support.gateway.gateway import StrictGateway
from tests.support.lambda_limits import ANSWER_BYTES, ASYNCHRONOUS_BYTES, AUTHORIZER_BYTES, LimitExceededError, bounded

import archive.app
import broadcast.app
import connect.app
import ingest.app
import publish.app
import query.app

AUTHORIZE = {"type": "REQUEST", "headers": {}}


@pytest.fixture(autouse=True)
def expected_excess() -> Iterator[None]:
    """Let these tests exceed limits, which fails every other test."""
    yield
    lambda_limits.exceeded.clear()


def call(function: str, event: Any, answer: Any) -> Any:
    return bounded(function, lambda *_given: lambda _event, _context: answer)(None, lambda _event: None)(event, None)


@pytest.mark.parametrize("module", [archive.app, broadcast.app, connect.app, ingest.app, publish.app, query.app])
def test_every_function_of_the_template_is_wrapped(module: Any) -> None:
    assert hasattr(module.build_handler, "__wrapped__")


@pytest.mark.parametrize(
    ("function", "event", "least", "most"),
    [
        ("query", {}, {"body": ""}, ANSWER_BYTES),
        ("connect", AUTHORIZE, {"context": {}, "body": ""}, AUTHORIZER_BYTES),
    ],
)
def test_answer_may_reach_its_limit_and_not_exceed_it(function: str, event: Any, least: Any, most: int) -> None:
    room = most - lambda_limits.encoded_bytes(least)
    full = {**least, "body": "x" * room}
    assert call(function, event, full) == full
    with pytest.raises(LimitExceededError, match=f"{most + 1:,} bytes"):
        call(function, event, {**least, "body": "x" * (room + 1)})
    assert len(lambda_limits.exceeded) == 1


@pytest.mark.parametrize(("function", "most"), [("archive", ASYNCHRONOUS_BYTES), ("ingest", ANSWER_BYTES)])
def test_event_may_reach_its_limit_and_not_exceed_it(function: str, most: int) -> None:
    assert call(function, "x" * (most - 2), None) is None
    with pytest.raises(LimitExceededError, match=f"the event to {function}"):
        call(function, "x" * (most - 1), None)


def test_function_may_not_invoke_itself_with_too_large_an_event() -> None:
    """Archive with its jobs, broadcast with a part of its subscribers."""
    large = {"archive": ["x" * ASYNCHRONOUS_BYTES]}
    invokes = bounded("archive", lambda _service, again: lambda _event, _context: again(large))
    with pytest.raises(LimitExceededError, match="archive to itself"):
        invokes(None, lambda _event: None)({}, None)
    fans_out = bounded("broadcast", lambda fan_out: lambda _event, _context: fan_out(b"x" * (ASYNCHRONOUS_BYTES + 1)))
    with pytest.raises(LimitExceededError, match="broadcast to itself"):
        fans_out(fan_out=lambda _payload: None)({}, None)


def test_handlers_of_the_clouds_in_tests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper is there although the test names no handler."""
    cloud = cloud_in_memory()
    key = cloud.viewer_key()
    assert cloud.http("GET", "/api/me", key).status == 200
    monkeypatch.setattr(lambda_limits, "ANSWER_BYTES", 50)
    with pytest.raises(LimitExceededError):
        cloud.http("GET", "/api/me", key)


async def test_gateway_fails_an_invocation_with_too_large_an_answer() -> None:
    """As Lambda does, and the gateway's owner sees it."""
    async with StrictGateway({}, HandlerFunctions({"F": lambda _event: {"body": "x" * ANSWER_BYTES}})) as gateway:
        outcome = await gateway.invoke_within("F", {}, "arn")
    assert outcome is not None
    assert outcome.failed
    assert [violation.partition(" has")[0] for violation in gateway.violations] == ["the answer of F"]
