"""Test a client's messages: routes, answers, concurrency, errors, throttle, time limits."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from tests.support.gateway import Faults, Limits, ManualClock
from tests.unit.support.gateway.conftest import TEMPLATE, Open, StubFunctions, echo
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

WITHIN_S = 60


def close_code(error: BaseException) -> int:
    """Return the code that the other side closed with."""
    assert isinstance(error, ConnectionClosed)
    assert error.rcvd is not None
    return error.rcvd.code


async def heard(client: Any) -> Any:
    """Return the next message within a moment."""
    return json.loads(await asyncio.wait_for(client.recv(), WITHIN_S))


async def test_message_goes_to_the_route_that_its_body_names_and_is_answered(open_chat: Open) -> None:
    """The function's body comes back unchanged, and the function saw API Gateway's event."""
    chat = await open_chat()
    client = await chat.join()
    await client.send(echo(text="hello"))
    assert await heard(client) == {"type": "echo", "text": "hello"}
    (event,) = [event for name, event in chat.stage.asked if name == "echo"]
    context = event["requestContext"]
    assert (context["routeKey"], context["eventType"], context["messageDirection"]) == ("echo", "MESSAGE", "IN")
    assert context["authorizer"] == {"principalId": "somebody", "principal": "alice", "level": "3"}
    assert "headers" not in event


async def test_route_without_a_route_response_answers_nothing(open_chat: Open) -> None:
    """`tell` has an answering function and a selection expression, and no AWS::ApiGatewayV2::RouteResponse."""
    chat = await open_chat()
    client = await chat.join()
    await client.send(json.dumps({"type": "tell"}))
    await client.send(echo(text="after"))
    assert (await heard(client))["text"] == "after"
    assert [event["requestContext"]["routeKey"] for name, event in chat.stage.asked if name == "echo"] in (
        ["tell", "echo"],
        ["echo", "tell"],
    )


@pytest.mark.parametrize("text", ['{"type": "unknown"}', '{"type": 7}', "not JSON", "[]", '{"other": 1}'])
async def test_message_without_a_route_is_forbidden(open_chat: Open, text: str) -> None:
    """Without a $default route, API Gateway answers itself."""
    chat = await open_chat()
    client = await chat.join()
    await client.send(text)
    answer = await heard(client)
    assert answer["message"] == "Forbidden"
    assert answer["connectionId"] == chat.connection_id


async def test_messages_of_one_connection_run_concurrently_and_are_answered_in_any_order(open_chat: Open) -> None:
    """The first runs until the second is answered; in sequence they would never end."""
    second_answered = threading.Event()

    def slow_first(event: dict[str, Any]) -> dict[str, Any]:
        if json.loads(event["body"])["n"] == 1:
            assert second_answered.wait(WITHIN_S)
        return {"statusCode": 200, "body": event["body"]}

    chat = await open_chat(stage=StubFunctions(echo=slow_first))
    client = await chat.join()
    await client.send(echo(n=1))
    await client.send(echo(n=2))
    assert (await heard(client))["n"] == 2
    second_answered.set()
    assert (await heard(client))["n"] == 1


def _raise(_event: dict[str, Any]) -> Any:
    raise RuntimeError("a secret of the function")


@pytest.mark.parametrize(
    "function",
    [
        _raise,
        lambda _: None,
        lambda _: "text",
        lambda _: {"body": "no status"},
        lambda _: {"statusCode": 200, "body": {}},
    ],
)
async def test_unhandled_or_malformed_result_is_an_internal_server_error(open_chat: Open, function: Any) -> None:
    """The client sees nothing of the function's text, only connection and request ids."""
    chat = await open_chat(stage=StubFunctions(echo=function))
    client = await chat.join()
    await client.send(echo())
    answer = await heard(client)
    assert answer == {
        "message": "Internal server error",
        "connectionId": chat.connection_id,
        "requestId": answer["requestId"],
    }
    # A crash is the function's own; a result that cannot be sent is recorded separately.
    assert bool(chat.gateway.violations) == (function is not _raise)


async def test_function_that_takes_29_seconds_times_out(open_chat: Open) -> None:
    """Endpoint request timed out: what the function returns later is dropped."""
    let_go, clock = threading.Event(), ManualClock()

    def slow(event: dict[str, Any]) -> dict[str, Any]:
        if json.loads(event["body"]).get("slow"):
            let_go.wait(WITHIN_S)
        return {"statusCode": 200, "body": event["body"]}

    chat = await open_chat(stage=StubFunctions(echo=slow), clock=clock)
    client = await chat.join()
    await client.send(echo(slow=True))
    while not chat.gateway.counts["invoke Echo"]:
        await asyncio.sleep(0.01)
    clock.advance(29)
    assert (await heard(client))["message"] == "Endpoint request timed out"
    let_go.set()
    await client.send(echo(text="next"))
    assert (await heard(client)) == {"type": "echo", "text": "next"}


async def test_messages_above_the_throttle_are_refused(open_chat: Open) -> None:
    """A burst of 3 passes, the fourth is refused, and time refills the tokens."""
    clock = ManualClock()
    chat = await open_chat(limits=Limits(requests_per_s=1.0, request_burst=3), clock=clock)
    client = await chat.join()
    for n in range(4):
        await client.send(echo(n=n))
    answers = [await heard(client) for _ in range(4)]
    assert [answer["message"] for answer in answers if "message" in answer] == ["Too Many Requests"]
    clock.advance(1)
    await client.send(echo(n=5))
    assert (await heard(client)) == {"type": "echo", "n": 5}


async def test_throttle_is_the_templates(open_chat: Open) -> None:
    """ThrottlingBurstLimit of DefaultRouteSettings."""
    chat = await open_chat(
        template=TEMPLATE.replace("ThrottlingBurstLimit: 1000", "ThrottlingBurstLimit: 1"), clock=ManualClock()
    )
    client = await chat.join()
    await client.send(echo(n=1))
    await client.send(echo(n=2))
    assert sorted([("message" in await heard(client)) for _ in range(2)]) == [False, True]


async def test_frame_of_32_kib_passes_and_one_byte_more_closes_with_1009(open_chat: Open) -> None:
    """The frame counts, not the message."""
    chat = await open_chat()
    client = await chat.join(max_size=None)
    await client.send(echo(t="x" * (32_768 - len(echo(t="")))))
    assert len((await heard(client))["t"]) > 32_000
    await client.send(echo(t="x" * (32_769 - len(echo(t="")))))
    with pytest.raises(ConnectionClosedError) as closed:
        await heard(client)
    assert close_code(closed.value) == 1009


async def test_message_of_128_kib_in_frames_passes_and_a_larger_one_closes_with_1009(open_chat: Open) -> None:
    """Frames of at most 32 KiB each, up to 128 KiB in total."""
    chat = await open_chat(stage=StubFunctions(echo=lambda event: {"statusCode": 200, "body": str(len(event["body"]))}))
    client = await chat.join()
    text = echo(t="x" * (131_072 - len(echo(t=""))))
    await client.send([text[at : at + 32_768] for at in range(0, len(text), 32_768)])
    assert await heard(client) == 131_072
    assert chat.gateway.counts["metered"] == 4 + 1
    await client.send([*(text[at : at + 32_768] for at in range(0, len(text), 32_768)), " "])
    with pytest.raises(ConnectionClosedError) as closed:
        await heard(client)
    assert close_code(closed.value) == 1009


async def test_binary_frame_closes_with_1003(open_chat: Open) -> None:
    """No function sees it."""
    chat = await open_chat()
    client = await chat.join()
    await client.send(b'{"type": "echo"}')
    with pytest.raises(ConnectionClosedError) as closed:
        await heard(client)
    assert close_code(closed.value) == 1003
    assert chat.stage.kinds("echo") == []


async def test_ten_idle_minutes_close_the_connection_unless_a_message_arrives(open_chat: Open) -> None:
    """A ping frame does not count."""
    clock = ManualClock()
    chat = await open_chat(clock=clock)
    client = await chat.join()
    clock.advance(599)
    await client.send(echo())
    await heard(client)
    clock.advance(599)
    await asyncio.wait_for(await client.ping(), WITHIN_S)
    clock.advance(1)
    with pytest.raises(Exception) as closed:  # noqa: PT011 - websockets tells a clean end by another class
        await heard(client)
    assert close_code(closed.value) == 1001


async def test_two_hours_close_even_a_busy_connection(open_chat: Open) -> None:
    """Whatever it sends meanwhile."""
    clock = ManualClock()
    chat = await open_chat(clock=clock)
    client = await chat.join()
    for _ in range(13):
        clock.advance(550)
        await client.send(echo())
        await heard(client)
    clock.advance(50)
    with pytest.raises(Exception) as closed:  # noqa: PT011
        await heard(client)
    assert close_code(closed.value) == 1001


async def test_answer_may_be_lost_although_the_function_ran(open_chat: Open) -> None:
    """An acknowledgement lost after the put."""
    chat = await open_chat(faults=Faults(lose_answer=1.0))
    client = await chat.join()
    await client.send(echo())
    while not chat.gateway.counts["lose answer"]:
        await asyncio.sleep(0.01)
    chat.gateway.faults = Faults()
    await client.send(echo(n=2))
    assert (await heard(client))["n"] == 2
    assert chat.stage.kinds("echo") == ["MESSAGE", "MESSAGE"]


async def test_answer_may_be_repeated(open_chat: Open) -> None:
    """From one invocation."""
    chat = await open_chat(faults=Faults(repeat_answer=1.0))
    client = await chat.join()
    await client.send(echo(n=1))
    assert [(await heard(client))["n"] for _ in range(2)] == [1, 1]
    assert len(chat.stage.kinds("echo")) == 1


@pytest.mark.parametrize(("faults", "ran"), [(Faults(fail_before=1.0), 0), (Faults(fail_after=1.0), 1)])
async def test_function_may_crash_before_or_after_its_work(open_chat: Open, faults: Faults, ran: int) -> None:
    """The client cannot tell which."""
    chat = await open_chat(faults=faults)
    client = await chat.join()
    await client.send(echo())
    assert (await heard(client))["message"] == "Internal server error"
    assert len(chat.stage.kinds("echo")) == ran


async def test_delays_reorder_answers(open_chat: Open) -> None:
    """With a seed for which they do."""
    chat = await open_chat(faults=Faults(delay_s=0.2), seed=3)
    client = await chat.join()
    for n in range(10):
        await client.send(echo(n=n))
    order = [(await heard(client))["n"] for _ in range(10)]
    assert sorted(order) == list(range(10))
    assert order != sorted(order)


async def test_connections_can_be_cut_without_a_close_frame(open_chat: Open) -> None:
    """$disconnect reports it."""
    chat = await open_chat(faults=Faults(cut_every_s=0.1))
    client = await chat.join()
    with pytest.raises(ConnectionClosedError) as closed:
        await asyncio.wait_for(client.recv(), WITHIN_S)
    assert closed.value.rcvd is None
    while chat.stage.kinds() != ["CONNECT", "DISCONNECT"]:
        await asyncio.sleep(0.01)
    assert chat.stage.asked[-1][1]["requestContext"]["disconnectStatusCode"] == 1006
