"""Test that the current cloud serves agents and viewers of 0.1.0 and reads what the cloud of 0.1.0 stored.

The code under test made nothing in `version_0_1_0/`. `agent_frames.json` is what an agent of 0.1.0 sent for four
containers, one of them with invalid engine numbers; `stored.json` is what the functions of 0.1.0 stored for them and
for three hostile jobs; `schema.json` is the wire as they knew it.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from tests.support import cloud as support
from tests.support.batches import batch_document
from tests.support.cloud import Cloud

FOLDER: Final = Path(__file__).parent / "version_0_1_0"
FRAMES: Final[list[str]] = json.loads((FOLDER / "agent_frames.json").read_text())
STORED: Final = json.loads((FOLDER / "stored.json").read_text())
SCHEMA: Final = json.loads((FOLDER / "schema.json").read_text())
SAFE: Final = 2**53 - 1


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = support.cloud_in_memory()
    yield made
    made.executor.shutdown()


def given(value: Any) -> Any:
    """Return a document without nulls, which HTTP writes and the schema omits."""
    if isinstance(value, dict):
        return {name: given(inner) for name, inner in value.items() if inner is not None}
    return [given(inner) for inner in value] if isinstance(value, list) else value


def numbers(value: Any) -> Iterator[int]:
    """Yield every number of a document."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value  # type: ignore[misc]


@functools.cache
def reader(name: str) -> jsonschema.Draft202012Validator:
    """Return a validator that checks documents as a reader of 0.1.0 would."""
    return jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"})


def assert_read(document: Any, name: str) -> None:
    """Check that a reader of 0.1.0 accepts it: its shape, and numbers that JavaScript holds."""
    reader(name).validate(given(document))
    assert all(isinstance(one, int) and abs(one) <= SAFE for one in numbers(document)), document


def restore(cloud: Cloud) -> None:
    """Restore what 0.1.0 stored."""
    for table, found in STORED.items():
        for item in found:
            stored = {k: {"B": base64.b64decode(v["B"])} if "B" in v else v for k, v in item.items()}
            cloud.tables.dynamodb.put_item(TableName=table, Item=stored)


def test_agent_of_0_1_0_is_served(cloud: Cloud) -> None:
    """It understands each answer; every job is open, and every batch stored."""
    agent = cloud.agent(cloud.agent_key("old", owner="team"))
    kinds = []
    for frame in FRAMES:
        answer = agent.say(frame)
        kinds.append(answer["type"])
        assert_read(answer, answer["type"].capitalize())
        assert not [job for job in answer.get("jobs", ()) if "error" in job]
        assert {result["outcome"] for result in answer.get("results", ())} <= {"stored"}
    assert set(kinds) == {"opened", "noted", "ingested"}
    page = cloud.http("GET", "/api/jobs", cloud.viewer_key()).json
    assert len(page["jobs"]) == 4
    for record in page["jobs"]:
        assert_read(record, "JobRecord")


def test_agent_of_0_1_0_gets_known_reasons_for_malformed_input(cloud: Cloud) -> None:
    """By job and by batch; an unknown code would be no answer to it."""
    agent = cloud.agent(cloud.agent_key("old", owner="team"))
    opening = json.loads(FRAMES[0])
    opening["jobs"][1]["life"] = {"state": "happy"}
    answer = agent.say(opening)
    assert_read(answer, "Opened")
    ingest = {"type": "ingest", "id": "i", "batches": [{**batch_document(1, job="1" * 64), "start": -1}]}
    assert_read(agent.say(ingest), "Ingested")


def test_viewer_of_0_1_0_reads_what_0_1_0_stored(cloud: Cloud) -> None:
    """A list with a poisoned record and one of the year 9999; a record of control characters, live."""
    restore(cloud)
    key = cloud.viewer_key()
    page = cloud.http("GET", "/api/jobs?limit=100", key).json
    assert len(page["jobs"]) == 7
    for record in page["jobs"]:
        assert_read(record, "JobRecord")
    assert page["jobs"][-1]["container"]["name"] == "from-9999"
    place, seen = "", 0
    while True:
        answer = cloud.http("GET", f"/api/jobs?limit=1{place}", key)
        assert answer.status == 200
        seen += len(answer.json["jobs"])
        if answer.json["next"] is None:
            break
        place = "&next=" + answer.json["next"].replace("#", "%23")
    assert seen == 7


def test_viewer_of_0_1_0_follows_what_0_1_0_stored(cloud: Cloud) -> None:
    """Subscriptions, list messages, batches: each fits its frame and is understood."""
    restore(cloud)
    viewer = cloud.viewer(cloud.viewer_key())
    assert viewer.say({"type": "subscribe", "id": "l", "jobs": {}})["type"] == "subscribed"
    for job in sorted({item["job"]["S"] for item in STORED["registry"] if item["sk"]["S"] == "JOB"}):
        answer = viewer.say({"type": "subscribe", "id": "s", "job": job})
        assert_read(answer, "Subscribed")
        assert answer["record"]["job"] == job
    assert cloud.stream() == []
    told = {name: [one for one in viewer.inbox if one["type"] == name] for name in ("job", "batch")}
    assert len({one["record"]["job"] for one in told["job"]}) == 7
    assert len(told["batch"]) == 2
    for message in told["job"]:
        assert_read(message, "JobMessage")
    for message in told["batch"]:
        assert_read(message, "BatchMessage")
