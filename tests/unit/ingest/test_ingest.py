"""Test how an agent's batches are handled (PROTOCOL.md, agents)."""

import base64
import json
import time
from typing import Any

import pytest
from backports import zstd
from tests.support import cloud as support
from tests.support.batches import CONTAINER, NOW_MS, batch, batch_document
from tests.support.cloud import Cloud, Socket

from ingest import core
from ingest.core import KnownTip, next_step
from ingest.store import Store, ThrottledError
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import BatchError

JOB = f"web.{CONTAINER}"


@pytest.fixture
def agent(cloud: Cloud) -> Socket:
    socket = cloud.agent(cloud.agent_key())
    cloud.open_job(socket)
    return socket


def test_batches_in_order_are_stored(cloud: Cloud, agent: Socket) -> None:
    """Each answer names the new tip."""
    assert cloud.send(agent, 1)["tip"] == 3
    result = cloud.send(agent, 4, ("four",))
    assert (result["outcome"], result["tip"]) == ("stored", 4)
    assert cloud.open_job(agent)["tip"] == 4


def test_duplicate_batch_is_stored_once(cloud: Cloud, agent: Socket) -> None:
    """A lost acknowledgement costs only the resend."""
    cloud.send(agent, 1)
    before = cloud.snapshot()
    result = cloud.send(agent, 1)
    assert (result["outcome"], result["tip"]) == ("duplicate", 3)
    assert cloud.snapshot() == before


@pytest.mark.parametrize("first", [1, 2, 3])
def test_other_bytes_below_the_tip_are_a_conflict(cloud: Cloud, agent: Socket, first: int) -> None:
    """They are never overwritten and never stored between two batches."""
    cloud.send(agent, 1)
    before = cloud.snapshot()
    result = cloud.send(agent, first, ("something else",))
    assert (result["outcome"], result["tip"], result["retry"]) == ("conflict", 3, False)
    assert cloud.snapshot() == before


def test_hole_is_never_stored(cloud: Cloud, agent: Socket) -> None:
    """What is stored is always a gap-free prefix."""
    cloud.send(agent, 1)
    result = cloud.send(agent, 5)
    assert (result["outcome"], result["reason"], result["tip"], result["retry"]) == (
        "rejected",
        "out_of_sequence",
        3,
        True,
    )


def test_job_must_be_opened_before_it_is_written(cloud: Cloud) -> None:
    """Otherwise nobody could find its lines."""
    socket = cloud.agent(cloud.agent_key())
    result = cloud.send(socket, 1)
    assert (result["reason"], result["tip"]) == ("out_of_sequence", 0)


def test_writes_of_another_process_of_the_function_are_noticed(cloud: Cloud, agent: Socket) -> None:
    """A remembered tip may be outdated; the table decides."""
    cloud.send(agent, 1)
    cloud.ingest_store.put_batch(JOB, batch(4), NOW_MS)  # by another process
    assert cloud.send(agent, 4)["outcome"] == "duplicate"
    cloud.ingest_store.put_batch(JOB, batch(7), NOW_MS)
    assert cloud.send(agent, 10)["outcome"] == "stored"
    cloud.ingest_store.put_batch(JOB, batch(13), NOW_MS)
    assert cloud.send(agent, 13, ("else",))["outcome"] == "conflict"


def test_agents_cannot_name_each_others_jobs(cloud: Cloud, agent: Socket) -> None:
    """Invariant 5: the server prepends the authenticated principal."""
    cloud.send(agent, 1)
    other = cloud.agent(cloud.agent_key("other"))
    assert cloud.open_job(other)["tip"] == 0
    cloud.send(other, 1, ("theirs",))
    assert {key for key in cloud.snapshot() if key.endswith("/1")} == {f"{JOB}/1", f"other.{CONTAINER}/1"}
    malformed = other.say({"type": "ingest", "id": "i", "batches": [batch_document(1, job=JOB)]})
    assert malformed["code"] == "malformed"


def test_quiet_job_outlives_its_logs_time_to_live(cloud: Cloud, agent: Socket) -> None:
    """`status` stores tip and cursor in the record, which has no time to live."""
    cloud.send(agent, 1)
    job = {"job": CONTAINER, "tip": 3, "life": {"state": "running"}}
    assert agent.say({"type": "status", "id": "s", "instance": "ENGINE", "jobs": [job]}) == {"type": "noted", "id": "s"}
    key = {"job": {"S": JOB}, "first": {"N": "1"}}
    cloud.tables.dynamodb.delete_item(TableName=cloud.tables.log, Key=key)
    opened = cloud.open_job(agent)
    assert (opened["tip"], opened["cursor"]) == (3, "cursor-1")
    assert cloud.send(agent, 4)["outcome"] == "stored"


def test_throttled_table_slows_the_agent_down(cloud: Cloud, agent: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost: the batch is resent."""

    def throttled(*_: Any) -> None:
        raise ThrottledError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_batch", throttled)
        answer = agent.say({"type": "ingest", "id": "i", "batches": [batch_document(1)]})
        assert answer["slow_down"] == 1_000
        assert (answer["results"][0]["reason"], answer["results"][0]["retry"]) == ("throttled", True)
    assert cloud.send(agent, 1)["outcome"] == "stored"


def test_internal_failure_is_retried_without_details(
    cloud: Cloud, agent: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No exception's text reaches a client."""

    def broken(*_: Any) -> None:
        raise RuntimeError("the secret of the table")

    monkeypatch.setattr(Store, "put_batch", broken)
    answer = agent.say({"type": "ingest", "id": "i", "batches": [batch_document(1)]})
    assert (answer["results"][0]["reason"], answer["results"][0]["retry"]) == ("internal", True)
    assert "secret" not in str(answer)


def test_bad_batch_does_not_affect_others_in_its_envelope(cloud: Cloud, agent: Socket) -> None:
    """Each batch has its own result."""
    second = "d" * 64
    cloud.open_job(agent, second)
    documents = [batch_document(1, digest="0" * 64), batch_document(1, job=second)]
    results = agent.say({"type": "ingest", "id": "i", "batches": documents})["results"]
    assert [result["outcome"] for result in results] == ["rejected", "stored"]
    assert results[0]["reason"] == "digest_mismatch"


@pytest.mark.parametrize(("window_log", "code"), [(20, "too_large"), (27, "malformed")])
def test_decompression_bomb_is_refused_in_milliseconds(window_log: int, code: str) -> None:
    """A small body is never decompressed beyond its limit."""
    options: Any = {zstd.CompressionParameter.compression_level: 3, zstd.CompressionParameter.window_log: window_log}
    compressor = zstd.ZstdCompressor(options=options)
    block = b"\0" * (1 << 20)
    parts = [compressor.compress(block) for _ in range(50)]
    body = b"".join(parts) + compressor.flush()
    assert len(body) < 22_528
    bomb = batch(1).model_copy(update={"body": body, "digest": digest_of(body)})
    began = time.process_time()
    with pytest.raises(BatchError) as refused:
        core.check_batch(bomb, NOW_MS)
    assert refused.value.code == code
    assert time.process_time() - began < 1  # processor time of this process: decompressing everything takes far longer


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"digest": "0" * 64}, "digest_mismatch"),
        ({"count": 2}, "count_mismatch"),
        ({"count": 4}, "count_mismatch"),
        ({"raw": 1}, "count_mismatch"),
        ({"start": 1}, "time_out_of_range"),
        ({"end": NOW_MS * 1000 + 7}, "time_out_of_range"),
    ],
)
def test_fields_that_contradict_the_body_are_refused(change: dict[str, Any], reason: str) -> None:
    """Readers rely on the fields beside the body without decompressing."""
    with pytest.raises(BatchError) as refused:
        core.check_batch(batch(1).model_copy(update=change), NOW_MS)
    assert refused.value.code == reason


def test_clock_far_ahead_is_refused() -> None:
    """A day of skew is allowed, a year is not: it would stay at the end of every list by time."""
    core.check_batch(batch(1, time=(NOW_MS + 3_600_000) * 1000), NOW_MS)
    with pytest.raises(BatchError):
        core.check_batch(batch(1, time=(NOW_MS + 400 * 86_400_000) * 1000), NOW_MS)


@pytest.mark.parametrize(
    ("first", "position", "step"),
    [
        (1, None, "read"),
        (4, KnownTip(3, fresh=False), "put"),
        (3, KnownTip(3, fresh=False), "compare"),
        (9, KnownTip(3, fresh=False), "read"),
        (9, KnownTip(3, fresh=True), "out_of_sequence"),
        (1, KnownTip(0, fresh=True), "put"),
    ],
)
def test_next_step_follows_from_the_tip(first: int, position: KnownTip | None, step: str) -> None:
    """A put happens directly behind the tip and nowhere else."""
    assert next_step(first, position) == step


def test_ping_marks_the_instance_alive(cloud: Cloud, agent: Socket) -> None:
    """Jobs of a silent instance are shown as lost, those of a quiet one are not."""
    viewer = cloud.viewer_key()
    cloud.now_ms += 14 * 60_000
    assert agent.say({"type": "ping", "id": "p"}) == {"type": "pong", "id": "p"}
    cloud.now_ms += 14 * 60_000
    assert cloud.http("GET", f"/api/jobs/{JOB}", viewer).json["life"]["state"] == "running"
    cloud.now_ms += 2 * 60_000
    assert cloud.http("GET", f"/api/jobs/{JOB}", viewer).json["life"]["state"] == "lost"
    assert cloud.http("GET", "/api/jobs?state=lost", viewer).json["jobs"][0]["job"] == JOB


def test_ping_is_understood_by_another_process(cloud: Cloud, agent: Socket) -> None:
    """A process other than the one that served `open` may serve the ping."""
    other = support.Cloud(cloud.tables)
    other.now_ms = cloud.now_ms + 5
    elsewhere = support.Socket(other, agent.api, agent.id, agent.context)
    assert elsewhere.say({"type": "ping", "id": "p"})["type"] == "pong"
    other.executor.shutdown()
    assert cloud.get("INSTANCE#web.ENGINE", "INSTANCE")["seen"] == other.now_ms  # type: ignore[index]


def test_daily_quota_is_enforced_and_reset_the_next_day(cloud: Cloud) -> None:
    """The excess is refused permanently, so that the agent puts a gap there; other principals are unaffected."""
    limited = cloud.agent(cloud.issue("agent", "small", owner="team", owners=(), daily_bytes=100))
    cloud.open_job(limited)
    assert cloud.send(limited, 1)["outcome"] == "stored"
    result = cloud.send(limited, 4, ("x" * 50,) * 3)
    assert (result["outcome"], result["reason"], result["retry"]) == ("rejected", "quota", False)
    free = cloud.agent(cloud.agent_key("free"))
    cloud.open_job(free)
    assert cloud.send(free, 1)["outcome"] == "stored"
    cloud.now_ms += 86_400_000
    assert cloud.send(limited, 4)["outcome"] == "stored"


def test_bytes_are_passed_on_unchanged(cloud: Cloud, agent: Socket) -> None:
    """Invariant 6: compressed once, by the agent."""
    cloud.send(agent, 1)
    page = cloud.http("GET", f"/api/jobs/{JOB}/batches", cloud.viewer_key()).json
    assert base64.b64decode(page["batches"][0]["body"]) == batch(1).body


def counted(text: str) -> dict[str, float]:
    """Return the sums of the metrics written in CloudWatch's embedded format."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        document = json.loads(line)
        name = f"[{document['reason']}]" if "reason" in document else ""
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            key = metric["Name"] + name
            sums[key] = sums.get(key, 0) + sum(document[metric["Name"]])
    return sums


def test_gaps_and_conflicts_are_counted(cloud: Cloud, agent: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    """For alarms. A container's line that looks like a gap does not count."""
    gap = '{"event":"gap","reason":"rotated","count":5}'
    capsys.readouterr()
    cloud.send(agent, 1, ("one", gap, gap, '{"event":"exited","exit_code":0}', gap), streams="ossso")
    cloud.send(agent, 1, ("another",))
    cloud.send(agent, 1, ("one", gap, gap, '{"event":"exited","exit_code":0}', gap), streams="ossso")
    found = counted(capsys.readouterr().out)
    assert (found["GapsStored"], found["GapsStored[rotated]"]) == (2, 2)
    assert (found["BatchesStored"], found["BatchesConflict"], found["BatchesDuplicate"]) == (1, 1, 1)


def test_stored_batch_counts_raw_bytes_and_delay(
    cloud: Cloud, agent: Socket, capsys: pytest.CaptureFixture[str]
) -> None:
    """`logferry cost` compares by raw bytes; the dashboard shows how late lines are stored."""
    capsys.readouterr()
    sent = batch(1, ("größe", "x"))
    assert cloud.send(agent, 1, ("größe", "x"))["outcome"] == "stored"
    found = counted(capsys.readouterr().out)
    assert found["RawBytesStored"] == sent.raw == len("größex".encode())
    assert found["StoreDelay"] == max(0, cloud.now_ms - sent.end // 1000)


def test_ping_is_counted(cloud: Cloud, agent: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    """The number of connected agents and their minutes are derived from it."""
    capsys.readouterr()
    assert agent.say({"type": "ping", "id": "p"})["type"] == "pong"
    assert counted(capsys.readouterr().out) == {"Pings": 1}


def test_batch_that_cannot_be_stored_counts_as_failed(
    cloud: Cloud, agent: Socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent is told to try again, so Lambda counts no error. An alarm needs this metric."""
    monkeypatch.setattr(Store, "put_batch", fail)
    capsys.readouterr()
    assert cloud.send(agent, 1)["reason"] == "internal"
    out = "".join(line for line in capsys.readouterr().out.splitlines(keepends=True) if "CloudWatchMetrics" in line)
    assert counted(out)["Failed"] == 1


def fail(*_arguments: Any) -> None:
    raise OSError("the table does not answer")


def test_gap_with_an_unknown_reason_makes_no_metric_of_its_own(
    cloud: Cloud, agent: Socket, capsys: pytest.CaptureFixture[str]
) -> None:
    """CloudWatch charges for every dimension, and an agent writes the reason."""
    capsys.readouterr()
    cloud.send(agent, 1, ('{"event":"gap","reason":"zqxj"}', '{"event":"gap","reason":"quota"}'), streams="ss")
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    dimensions = [one["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for one in documents]
    assert sorted(sorted(each) for [each] in dimensions) == [["reason", "service"], ["service"]]
    assert [one["reason"] for one in documents if "reason" in one] == ["quota"]


def noted(agent: Socket, tip: int, **life: Any) -> None:
    job = {"job": CONTAINER, "tip": tip, "life": life}
    assert agent.say({"type": "status", "id": "s", "instance": "ENGINE", "jobs": [job]}) == {"type": "noted", "id": "s"}


def test_late_or_repeated_status_never_reverts_a_job(cloud: Cloud, agent: Socket) -> None:
    """API Gateway may run two messages in any order, and agents resend unanswered ones."""

    def state() -> str:
        record = cloud.get(f"JOB#{JOB}", "JOB")
        assert record is not None
        return str(record["life"]["state"])

    running = {"state": "running", "created": 1_000, "started": 2_000}
    exited = {**running, "state": "exited", "ended": 5_000}
    noted(agent, 3, **running)
    noted(agent, 3, **exited)
    noted(agent, 3, **running)  # late
    assert state() == "exited"
    # It runs again, although the host's clock was set back: more is stored than at its end.
    again = {**exited, "state": "running", "started": 4_000}
    noted(agent, 4, **again)
    assert state() == "running"
    noted(agent, 3, **exited)  # repeated
    assert state() == "running"
    noted(agent, 4, **{**again, "state": "paused"})
    assert state() == "paused"
    noted(agent, 4, **again)
    assert state() == "running"
