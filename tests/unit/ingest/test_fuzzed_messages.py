"""Test any JSON, and altered golden messages of every family, at both WebSocket APIs.

Each is answered as PROTOCOL.md says. What the wire's models refuse is `malformed`, under its id where it has one, and
stores nothing. What they accept gets its kind of answer or an error other than `internal`, and stores only what belongs
to its sender.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import cloud as support
from tests.support.cloud import Cloud, Socket

from connect import message_handler
from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.messages import FAMILIES, decode

GOLDEN: Final = json.loads((Path(__file__).parents[2] / "contract" / "messages.json").read_text())["good"]
THEIRS: Final = next(str(one["job"]) for one in GOLDEN["from_viewer"] if "job" in one)
MESSAGES: Final = [message for family in GOLDEN.values() for message in family]

ANSWERS: Final = {
    "open": "opened", "ingest": "ingested", "status": "noted", "ping": "pong",
    "subscribe": "subscribed", "unsubscribe": "unsubscribed",
}  # fmt: skip

BY_PARTS: Final = {"opened", "ingested", "noted"}
"""Answers to requests of which a part may be malformed."""

MAY_STORE: Final = {
    "open": ("JOB#web.", "INSTANCE#web."),
    "ingest": ("web.",),
    "status": ("JOB#web.",),
    "ping": ("INSTANCE#web.", "JOB#web."),
    "subscribe": ("JOB#web.", "LIST#"),
    "unsubscribe": ("JOB#web.", "LIST#"),
}
"""Prefixes of the keys that each kind of message may write, each after the agent's own principal."""

TEXTS: Final = (
    "", "web", "c" * 64, THEIRS, THEIRS.replace("fleet-1", "web"), "*", "\x00", "ping", "JOB#x", "ENGINE",
)  # fmt: skip
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(TEXTS)
    | st.sampled_from((2**53, -1)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*path, name))


@st.composite
def changed(draw: st.DrawFn) -> str:
    """Generate a golden message with a part removed, inserted, moved, or truncated."""
    document = copy.deepcopy(draw(st.sampled_from(MESSAGES)))
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(document))
        if not found:
            break
        *path, name = draw(st.sampled_from(found))
        holder = document
        for step in path:
            holder = holder[step]
        match draw(st.sampled_from(["take out", "replace", "add", "twice", "elsewhere"])):
            case "take out":
                del holder[name]
            case "replace":
                holder[name] = draw(JSON)
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=8))] = draw(JSON)
            case "twice" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[name]))
            case _:
                holder[name] = copy.deepcopy(draw(st.sampled_from(MESSAGES)))
    text = json.dumps(document)
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Cloud, dict[str, Socket]]]:
    """Provide a cloud with two agents and a viewer."""
    message_handler._watched_until.clear()
    cloud = support.cloud_in_memory()
    # Golden messages subscribe to another owner's job; the job that they write continues with their batches.
    principal, container = THEIRS.split(".")
    theirs = cloud.agent(cloud.agent_key(principal, owner="elsewhere"))
    agent = cloud.agent(cloud.agent_key())
    for socket in (theirs, agent):
        cloud.open_job(socket, container)
        cloud.send(socket, 1, ("line",) * 40, job=container)
    try:
        yield cloud, {"from_agent": agent, "from_viewer": cloud.viewer(cloud.viewer_key())}
    finally:
        cloud.executor.shutdown()


def read(text: str, family: str) -> Any:
    """Return the message as the wire's models read it."""
    try:
        return decode(text, FAMILIES[family])
    except MalformedMessageError as error:
        return error


def assert_answered(cloud: Cloud, socket: Socket, family: str, text: str) -> None:
    """Check that the answer follows PROTOCOL.md and that only permitted items are stored."""
    before = cloud.snapshot()
    answer = socket.say(text)
    after = cloud.snapshot()
    touched = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert len(json.dumps(answer).encode()) <= 32_768
    assert "Traceback" not in json.dumps(answer)
    message = read(text, family)
    if isinstance(message, MalformedMessageError) and answer["type"] in BY_PARTS:
        # A malformed part has its own answer; a status must keep at least one valid job.
        document = json.loads(text)
        assert (answer["type"], answer["id"]) == (ANSWERS[document["type"]], document["id"])
        refused = [one for one in answer.get("jobs", ()) if one.get("error") == "malformed"]
        refused += [one for one in answer.get("results", ()) if one["outcome"] == "rejected"]
        assert refused or document["type"] == "status"
        assert all(key.startswith(MAY_STORE[document["type"]]) for key in touched), touched
        return
    if isinstance(message, MalformedMessageError):
        assert (answer["type"], answer["code"], answer["retry"]) == ("error", "malformed", False)
        assert answer.get("id") == message.request_id
        assert touched == set()
        return
    assert answer["id"] == message.id
    if answer["type"] == "error":
        assert answer["code"] in {"not_found", "too_many"}
        assert touched == set()
        return
    assert answer["type"] == ANSWERS[message.type]
    assert "internal" not in json.dumps([answer.get("results"), answer.get("jobs")])
    allowed = MAY_STORE[message.type]
    assert all(key.startswith(allowed) for key in touched), touched


PROPERTY = settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@PROPERTY
@given(text=changed())
def test_altered_golden_message_is_answered(world: tuple[Cloud, dict[str, Socket]], text: str) -> None:
    """At both APIs, whichever it was meant for."""
    cloud, sockets = world
    for family, socket in sockets.items():
        assert_answered(cloud, socket, family, text)


@PROPERTY
@given(document=JSON)
def test_any_json_is_answered(world: tuple[Cloud, dict[str, Socket]], document: Any) -> None:
    """Including NaN and Infinity, which Python writes and JSON lacks."""
    cloud, sockets = world
    for family, socket in sockets.items():
        assert_answered(cloud, socket, family, json.dumps(document))
