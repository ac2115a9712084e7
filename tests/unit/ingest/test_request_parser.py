"""Test that a malformed job or batch gets its own answer and the rest of its request is served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import cloud as support
from tests.support.batches import CONTAINER, batch_document
from tests.support.cloud import Cloud, Socket
from tests.support.zstd import zstd

from ingest import core, request_parser
from logferry_protocol import limits, messages
from logferry_protocol.encoding import digest_of

BAD_JOBS: list[dict[str, Any]] = [
    {"container": None}, {"container": {"name": "x" * 256}}, {"container": {"image": 5}},
    {"container": {"labels": {str(index): "" for index in range(65)}}},
    {"container": {"labels": {"k": "v" * 257}}}, {"container": {"owner": "a b"}},
    {"container": {"labels": {"\x01" * 100: 5}}}, {"container": {"labels": ["a"]}},
    {"life": {"state": "happy"}}, {"life": {"created": "soon"}}, {"life": {"exit_code": "x"}}, {"life": None},
]  # fmt: skip
"""Malformed jobs of an `open` that have a readable id."""

BAD_BATCHES: list[dict[str, Any]] = [
    {"count": 0}, {"count": 8_193}, {"raw": -1}, {"raw": 2**20 + 1}, {"digest": ""}, {"digest": "G" * 64},
    {"cursor": '"'}, {"cursor": "x" * 1_025}, {"cursor": "é"}, {"cursor": None}, {"body": "!"}, {"body": 5},
    {"body": ""}, {"body": "A" * 30_080}, {"end": 1}, {"start": -1}, {"start": 10**18}, {"end": 2**53},
]  # fmt: skip
"""Malformed batches with a readable job and first sequence."""


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = support.cloud_in_memory()
    yield made
    made.executor.shutdown()


@pytest.fixture
def agent(cloud: Cloud) -> Socket:
    return cloud.agent(cloud.agent_key())


def opening(*jobs: dict[str, Any]) -> dict[str, Any]:
    plain = {"container": {"name": "web"}, "life": {"state": "running"}}
    listed = [{"job": f"{index:064x}", **plain, **job} for index, job in enumerate(jobs)]
    return {"type": "open", "id": "o", "instance": "ENGINE", "jobs": listed}


@pytest.mark.parametrize("bad", BAD_JOBS, ids=lambda one: str(one)[:40])
def test_malformed_job_of_an_open_does_not_affect_the_others(cloud: Cloud, agent: Socket, bad: dict[str, Any]) -> None:
    """It is refused permanently, so that an agent of 0.1.0 skips it; the others are open."""
    answer = agent.say(opening({}, bad, {}))
    assert answer["type"] == "opened"
    assert {job["job"][-1]: job.get("error") for job in answer["jobs"]} == {"0": None, "1": "malformed", "2": None}
    refused = next(job for job in answer["jobs"] if "error" in job)
    assert refused["retry"] is False
    assert refused["message"]
    assert cloud.get(f"JOB#web.{1:064x}", "JOB") is None


def test_open_of_malformed_jobs_only_answers_each(agent: Socket) -> None:
    """As an agent opens them one by one, after a deploy that refuses what the one before accepted."""
    answer = agent.say(opening({"life": None}, {"life": None}))
    assert [job["error"] for job in answer["jobs"]] == ["malformed", "malformed"]


@pytest.mark.parametrize("bad", BAD_BATCHES, ids=lambda one: str(one)[:40])
def test_malformed_batch_does_not_affect_others_in_its_envelope(
    cloud: Cloud, agent: Socket, bad: dict[str, Any]
) -> None:
    """It is rejected permanently, so that an agent of 0.1.0 puts a gap there; the other is stored."""
    other = "e" * 64
    for job in (CONTAINER, other):
        cloud.open_job(agent, job)
    answer = agent.say(
        {"type": "ingest", "id": "i", "batches": [{**batch_document(1), **bad}, batch_document(1, job=other)]}
    )
    results = {result["job"]: result for result in answer["results"]}
    assert results[other]["outcome"] == "stored"
    assert (results[CONTAINER]["outcome"], results[CONTAINER]["retry"]) == ("rejected", False)
    assert results[CONTAINER]["first"] == 1
    times = {"start", "end"} & set(bad) and bad != {"end": 1}  # before its start: both are times
    assert results[CONTAINER]["reason"] == ("time_out_of_range" if times else "malformed")


def test_malformed_job_of_a_status_does_not_affect_the_others(cloud: Cloud, agent: Socket) -> None:
    """The others are stored; the malformed one's record stays unchanged."""
    agent.say(opening({}, {}))
    jobs = [{"job": f"{index:064x}", "life": {"state": "exited"}, "tip": 0} for index in range(2)]
    jobs[0]["life"] = {"state": "happy"}
    assert agent.say({"type": "status", "id": "s", "instance": "ENGINE", "jobs": jobs})["type"] == "noted"
    states = [cloud.get(f"JOB#web.{index:064x}", "JOB")["life"]["state"] for index in range(2)]  # type: ignore[index]
    assert states == ["running", "exited"]


def test_out_of_range_numbers_of_an_engine_open_their_job(cloud: Cloud, agent: Socket) -> None:
    """An exit code of 2^60 was stored, and the viewer refused every list that had it."""
    life = {"state": "exited", "exit_code": 2**60, "restarts": 2**70, "created": -5, "started": 10**30, "ended": 1e300}
    answer = agent.say(opening({"life": life}))
    assert "error" not in answer["jobs"][0]
    record = cloud.http("GET", f"/api/jobs/web.{0:064x}", cloud.viewer_key()).json
    assert record["life"]["exit_code"] == limits.MAX_EXIT_CODE
    assert record["life"]["restarts"] == limits.MAX_RESTARTS


def hostile_body() -> bytes:
    """Return a body whose document has its own name: half a megabyte of control characters."""
    return zstd.compress(b'{"t":1,"d":[0],"s":"o","l":["x"],"' + b"\\u0001" * 80_000 + b'":1}')


def test_results_of_the_largest_envelope_fit_a_frame(cloud: Cloud, agent: Socket) -> None:
    """For any bodies: the answer names each refused body, 64 times."""
    body = hostile_body()
    batches = [
        batch_document(1, ("x",), job=f"{index:064x}", body=body, digest=digest_of(body), cursor="")
        for index in range(limits.MAX_ENVELOPE_BATCHES)
    ]
    cloud.open_job(agent)
    answer = agent.say({"type": "ingest", "id": "i" * 64, "batches": batches})
    assert answer["type"] == "ingested"
    assert {result["reason"] for result in answer["results"]} == {"malformed"}


def test_longest_answers_fit_their_frames() -> None:
    """Sixteen refused jobs, 64 refused batches, every other field at its longest, and the longest sentences."""
    worst = '"\\\x01é🚢' * 200
    part = request_parser.MalformedPart("f" * 64, limits.MAX_SEQUENCE, "time_out_of_range", worst)
    results = [
        core.malformed_result(part).model_copy(update={"tip": limits.MAX_SEQUENCE})
    ] * limits.MAX_ENVELOPE_BATCHES
    quoted = '"' * limits.MAX_ID_CHARS
    messages.encode(messages.Ingested(id=quoted, results=results, slow_down=limits.MAX_DURATION_MS))
    sentence = messages.short_sentence(worst)
    job = messages.OpenedJob(job="f" * 64, error="not_found", message=sentence)
    messages.encode(messages.Opened(id=quoted, jobs=[job] * limits.MAX_OPEN_JOBS))
    messages.encode(messages.Error(id=quoted, code="unauthorized", message="\x01" * limits.MAX_MESSAGE_CHARS))
    messages.encode(messages.Expired(job="p" * 63 + "." + "f" * 64, message="\x01" * limits.MAX_MESSAGE_CHARS))
