"""Test that containers' lines and engines' texts cannot forge our own logs and metrics.

The real functions run at their most verbose; their log lines and metrics are read back as CloudWatch would read them.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.support import cloud as support
from tests.support.batches import CONTAINER, batch_document
from tests.support.cloud import Cloud

from broadcast.store import Store

JOB: Final = f"web.{CONTAINER}"
MARK: Final = "zqxj"
"""A mark in every hostile text, which is found wherever it is written."""

METRICS: Final = json.dumps(
    {
        "_aws": {
            "Timestamp": 1,
            "CloudWatchMetrics": [
                {"Namespace": MARK, "Dimensions": [[MARK]], "Metrics": [{"Name": MARK, "Unit": "Count"}]}
            ],
        },
        MARK: 1e9,
    }
)
HOSTILE: Final = (
    f"{MARK}\n" + METRICS,
    f'{MARK}","level":"CRITICAL","message":"forged',
    f'{MARK}\r\n{{"level":"CRITICAL","message":"forged"}}',
    f"{MARK} %s %n {{0}} ${{jndi:ldap://x/}} {{{{7*7}}}}",
    f"{MARK}\x1b]0;title\x07\x1b[2J\u2028\u202e\x00",
)
OURS: Final = frozenset(
    {
        "Answered", "AuthenticationRefused", "BatchesBroadcast", "BatchesConflict", "BatchesDuplicate",
        "BatchesRejected", "BatchesStored", "BroadcastDelay", "BytesStored", "EntriesStored", "Failed", "GapsStored",
        "MessagesMalformed", "Pings", "RawBytesStored", "RecordsFailed", "StoreDelay", "ViewersSent",
    }
)  # fmt: skip


class CapturedOutput:
    """What the functions wrote: their logs, and their metrics."""

    def __init__(self, cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
        self.cloud, self._capsys, self._logs = cloud, capsys, io.StringIO()
        cloud.logger.setLevel("DEBUG")
        cloud.logger.registered_handler.setStream(self._logs)  # type: ignore[attr-defined]
        capsys.readouterr()

    def logs(self) -> list[dict[str, Any]]:
        """Return the logs; each line is one object, as CloudWatch expects."""
        return [json.loads(line) for line in self._logs.getvalue().split("\n") if line]

    def metrics(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._capsys.readouterr().out.split("\n") if line]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[CapturedOutput]:
    cloud = support.cloud_in_memory()
    try:
        yield CapturedOutput(cloud, capsys)
    finally:
        cloud.logger.setLevel("CRITICAL")
        cloud.executor.shutdown()


def send_hostile_texts(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put hostile texts everywhere, in requests that succeed and requests that fail."""
    agent = cloud.agent(cloud.agent_key())
    key = cloud.viewer_key()
    labels = {text[:128]: text[:256] for text in HOSTILE}
    cloud.open_job(
        agent, container={"name": HOSTILE[0][:255], "host": HOSTILE[1], "image": HOSTILE[2], "labels": labels}
    )
    viewer = cloud.viewer(key)
    viewer.say({"type": "subscribe", "id": "s", "job": JOB})
    cloud.send(agent, 1, HOSTILE, streams="ossso"[: len(HOSTILE)])
    cloud.stream()
    for text in HOSTILE:
        # All kinds of refusals: an entry, a field, a frame, an address, a body, a credential.
        agent.say({"type": "ingest", "id": "i", "batches": [batch_document(6, (text,), digest="0" * 64)]})
        cloud.send(agent, 1, (text,))
        agent.say({"type": text, "id": "i"})
        agent.say(text)
        viewer.say({"type": "subscribe", "id": "s", "job": text})
        cloud.http("GET", "/api/me", text.partition("\n")[0])
        cloud.http("POST", f"/api/jobs/{JOB}/shares", key, body={"note": text, "expires_in": text})
        cloud.http("POST", f"/api/jobs/{JOB}/shares", key, body={"note": text[:200]})
        cloud.http("POST", "/api/tickets", key, headers={"origin": text})
        cloud.open_socket(support.VIEWERS, {"origin": text}, {"ticket": text})

    def broken(*_given: Any, **_more: Any) -> Any:
        raise RuntimeError(HOSTILE[0])

    # Failures with hostile messages: there a log has a traceback.
    monkeypatch.setattr(cloud.ingest_store, "put_batch", broken)
    cloud.send(agent, 6, (HOSTILE[0],))
    monkeypatch.undo()
    cloud.send(agent, 6, (HOSTILE[0],))
    monkeypatch.setattr(Store, "subscribers", broken)
    assert cloud.stream() != []
    poison = {"eventName": "INSERT", "dynamodb": {"Keys": {"first": {"N": "1"}}, "SequenceNumber": HOSTILE[1]}}
    cloud.broadcast({"Records": [poison]}, None)


def test_logs_hold_one_object_a_line_with_our_own_levels(
    written: CapturedOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line feed, a quote or an escape in a text neither ends nor begins anything."""
    send_hostile_texts(written.cloud, monkeypatch)
    logs = written.logs()
    assert len(logs) > 20
    assert {one["level"] for one in logs} <= {"INFO", "WARNING", "ERROR"}
    # The log must contain the exception's message, or this proves nothing; inside the line, not beside it.
    assert any(MARK in one.get("exception", "") for one in logs)
    assert all(MARK not in one["message"] for one in logs)
    assert all(MARK not in name for one in logs for name in one)
    assert "forged" not in {one["message"] for one in logs}


def test_containers_lines_are_never_logged(written: CapturedOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operators who read our logs may have no right to read a container's lines."""
    cloud = written.cloud
    agent = cloud.agent(cloud.agent_key())
    cloud.open_job(agent)
    cloud.viewer(cloud.viewer_key()).say({"type": "subscribe", "id": "s", "job": JOB})
    for first, digest in ((1, None), (4, "0" * 64), (9, None)):
        more = {} if digest is None else {"digest": digest}
        cloud.send(agent, first, (MARK,) * 3, **more)
    cloud.send(agent, 1, ("other",))
    cloud.stream()
    cloud.http("GET", f"/api/jobs/{JOB}/search?q={MARK}", cloud.viewer_key())
    logs = written.logs()
    refused = [one["outcome"] for one in logs if one["message"] == "a batch was not stored"]
    assert refused == ["rejected", "rejected", "conflict"]
    assert MARK not in json.dumps(logs)


def test_metrics_have_our_names_and_one_dimension(written: CapturedOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch charges for every name and dimension: a container must be able to create neither."""
    before = time.time_ns() // 1_000_000
    send_hostile_texts(written.cloud, monkeypatch)
    documents = written.metrics()
    assert len(documents) > 20
    for document in documents:
        [directive] = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Tests"
        assert directive["Dimensions"] == [["service"]]
        assert document["service"] == "tests"
        assert {metric["Name"] for metric in directive["Metrics"]} <= OURS
        assert document["_aws"]["Timestamp"] >= before
        assert MARK not in json.dumps(document)
