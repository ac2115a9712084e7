"""Test at least sixty bad messages to each WebSocket API: answered as PROTOCOL.md says, and nothing stored."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import cloud as support
from tests.support.batches import CONTAINER, NOW_MS, batch_document
from tests.support.cloud import Cloud, Socket

from connect import message_handler

JOB = f"web.{CONTAINER}"


def opening(**changes: Any) -> dict[str, Any]:
    job = {"job": CONTAINER, "container": {"name": "web"}, "life": {"state": "running"}}
    return {"type": "open", "id": "o", "instance": "ENGINE", "jobs": [job], **changes}


def opening_job(**changes: Any) -> dict[str, Any]:
    return opening(jobs=[{**opening()["jobs"][0], **changes}])


def ingesting(**changes: Any) -> dict[str, Any]:
    shape = {"time": changes.pop("time")} if "time" in changes else {}
    return {"type": "ingest", "id": "i", "batches": [{**batch_document(4, **shape), **changes}]}


def status(**changes: Any) -> dict[str, Any]:
    job = {"job": CONTAINER, "life": {"state": "running"}, "tip": 3, **changes}
    return {"type": "status", "id": "s", "instance": "ENGINE", "jobs": [job]}


NOT_MESSAGES: list[Any] = [
    "", " ", "x", "null", "true", "1", '"ingest"', "[]", "{}", "{", '{"type"', '{"type":1}', '{"type":null}',
    '{"type":"x","id":"1"}', '{"type":"Ping","id":"1"}', '{"type":["ping"],"id":"1"}', '{"type":"ping"}',
    '{"type":"ping","id":1}', '{"type":"ping","id":""}', '{"type":"ping","id":"' + "x" * 65 + '"}',
    '{"type":"ping","id":"a b"}', '{"type":"ping","id":"\\u0000"}', '{"type":"ping","id":null}', "\x00", "\ufeff{}",
    "[" * 10_000, '{"a":' * 5_000, '{"type":"ping","id":"1"', "{'type':'ping','id':'1'}", '{"type":"ping","id":"é"}',
    "x" * 40_000, '{"type":"ping","id":"1"}{"type":"ping","id":"2"}', "NaN", '{"type":"pong","id":"1"}',
]  # fmt: skip
"""Bad on both APIs."""

FROM_AGENTS: list[Any] = [
    *NOT_MESSAGES,
    {"type": "subscribe", "id": "1", "job": JOB},
    {"type": "watch", "job": CONTAINER, "ttl": 1, "interval": 0},
    opening(jobs=[]), opening(jobs=opening()["jobs"] * 17), opening(jobs=None), opening(jobs={}), opening(instance=""),
    opening(instance="a/b"), opening(instance="x" * 129), opening(instance=5),
    opening_job(job="x"), opening_job(job=JOB), opening_job(job="C" * 64), opening_job(job="../" + "c" * 61),
    opening_job(job=CONTAINER + "\n"), opening_job(job=None), opening(jobs=["x"]), opening(jobs=[None]),
    {"type": "ingest", "id": "i"}, {"type": "ingest", "id": "i", "batches": []},
    {"type": "ingest", "id": "i", "batches": [batch_document(4), batch_document(7)]},
    {"type": "ingest", "id": "i", "batches": [batch_document(4), {**batch_document(7), "raw": -1}]},
    {**ingesting(raw=-1), "id": "a b"}, {**opening_job(life=None), "instance": "a/b"},
    {**ingesting(), "batches": [{**batch_document(4, job=f"{index:064x}"), "raw": -1} for index in range(65)]},
    ingesting(job=JOB), ingesting(first=0), ingesting(first=-4), ingesting(first=2**53), ingesting(first="x"),
    ingesting(first=None), ingesting(first=4.5),
    {**ingesting(), "batches": [{**batch_document(4), "body": "A" * 33_000}]},
    status(tip=-1), status(job="x"), status(life=None), status(bytes=-1), status(last=-5), status(gaps="x"),
]  # fmt: skip

NOT_JOBS: list[Any] = [
    "", "x", CONTAINER, f"web/{CONTAINER}", f"WEB.{CONTAINER}", f"JOB#{JOB}", f"{JOB}\n", "*", ["a"], 5, {}, True,
    f"web.{'c' * 63}", "x" * 5_000,
]  # fmt: skip

FROM_VIEWERS: list[Any] = [
    *NOT_MESSAGES,
    opening(), ingesting(), status(),
    {"type": "subscribe", "id": "1"}, {"type": "subscribe", "id": "1", "job": JOB, "jobs": {}},
    *({"type": "subscribe", "id": "1", "job": job} for job in NOT_JOBS),
    {"type": "subscribe", "job": JOB}, {"type": "subscribe", "id": "1", "job": JOB, "after": -1},
    {"type": "subscribe", "id": "1", "job": JOB, "after": 2**53},
    {"type": "subscribe", "id": "1", "job": JOB, "after": "x"},
    {"type": "subscribe", "id": "1", "jobs": []}, {"type": "subscribe", "id": "1", "jobs": {"owner": "a b"}},
    {"type": "subscribe", "id": "1", "jobs": {"name": "x" * 256}},
    {"type": "subscribe", "id": "1", "jobs": {"host": 5}},
    {"type": "subscribe", "id": "1", "jobs": {"label": "x" * 400}}, {"type": "unsubscribe"},
    {"type": "unsubscribe", "id": "1", "job": "x"}, {"type": "unsubscribe", "id": "1", "job": 5},
]  # fmt: skip

REFUSED: list[tuple[dict[str, Any], str]] = [
    (ingesting(digest="0" * 64), "digest_mismatch"),
    (ingesting(body=base64.b64encode(b"not zstd").decode()), "digest_mismatch"),
    (ingesting(count=2), "count_mismatch"),
    (ingesting(raw=2), "count_mismatch"),
    (ingesting(end=NOW_MS * 1000 + 99), "time_out_of_range"),
    (ingesting(time=(NOW_MS + 10**10) * 1000), "time_out_of_range"),
    ({**ingesting(), "batches": [batch_document(9)]}, "out_of_sequence"),
    ({**ingesting(), "batches": [batch_document(4, job="e" * 64)]}, "out_of_sequence"),
]
"""Valid messages with an invalid batch."""


@pytest.fixture(scope="module")
def world(dynamodb: Any) -> Iterator[tuple[Cloud, Socket, Socket]]:
    message_handler._watched_until.clear()
    with support.cloud(dynamodb) as cloud:
        agent = cloud.agent(cloud.agent_key())
        cloud.open_job(agent)
        cloud.send(agent, 1)
        viewer = cloud.viewer(cloud.viewer_key())
        before = cloud.snapshot()
        yield cloud, agent, viewer
        assert cloud.snapshot() == before, "a bad message changed what is stored"


def raw(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message)


@pytest.mark.parametrize("message", FROM_AGENTS, ids=lambda one: raw(one)[:50])
def test_bad_message_of_an_agent_changes_nothing(world: tuple[Cloud, Socket, Socket], message: Any) -> None:
    """An `error` answers it, with its id where that is readable."""
    cloud, agent, _ = world
    refused(cloud, agent, message)


@pytest.mark.parametrize("message", FROM_VIEWERS, ids=lambda one: raw(one)[:50])
def test_bad_message_of_a_viewer_changes_nothing(world: tuple[Cloud, Socket, Socket], message: Any) -> None:
    """As for an agent."""
    cloud, _, viewer = world
    refused(cloud, viewer, message)


def refused(cloud: Cloud, socket: Socket, message: Any) -> None:
    answer = socket.say(raw(message))
    assert (answer["type"], answer["code"], answer["retry"]) == ("error", "malformed", False)
    assert "Traceback" not in answer["message"]
    assert len(json.dumps(answer)) <= 32_768


@pytest.mark.parametrize(("message", "reason"), REFUSED, ids=lambda one: one if isinstance(one, str) else "")
def test_bad_batch_is_refused_with_its_reason(
    world: tuple[Cloud, Socket, Socket], message: dict[str, Any], reason: str
) -> None:
    """Nothing of it is stored."""
    _, agent, _ = world
    (result,) = agent.say(message)["results"]
    assert (result["outcome"], result["reason"]) == ("rejected", reason)


def test_tables_have_at_least_sixty_messages_each() -> None:
    """Nobody removes some unnoticed."""
    assert len({raw(message) for message in FROM_AGENTS}) >= 60
    assert len({raw(message) for message in FROM_VIEWERS}) >= 60


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NEARLY = st.fixed_dictionaries(
    {"type": st.sampled_from(["open", "ingest", "status", "ping", "subscribe", "unsubscribe"])},
    optional={"id": JSON, "jobs": JSON, "job": JSON, "batches": JSON, "after": JSON, "instance": JSON},
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(message=NEARLY)
def test_almost_valid_message_is_answered(world: tuple[Cloud, Socket, Socket], message: Any) -> None:
    """No message makes a function fail: an answer comes, and it is never `internal`."""
    _, agent, viewer = world
    for socket in (agent, viewer):
        answer = socket.say(message)
        assert answer is not None
        assert answer.get("code") != "internal", answer
