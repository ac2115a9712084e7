"""Test that jobs are archived, read from the archive, and erased from it."""

import base64
import json
from typing import Any

import pytest
from tests.support.batches import CONTAINER, NOW_MS
from tests.support.cloud import Cloud, Socket
from tests.support.zstd import zstd

import query.store
from archive.app import NotArchivedError, UnknownEventError, build_handler
from logferry_protocol.batch import decode_body
from registry import items

JOB = f"web.{CONTAINER}"
DAY_MS = 86_400_000


@pytest.fixture
def agent(cloud: Cloud) -> Socket:
    """Provide an agent with a job of twelve entries in four batches."""
    socket = cloud.agent(cloud.agent_key())
    cloud.open_job(socket)
    for first in (1, 4, 7, 10):
        cloud.send(socket, first)
    return socket


@pytest.fixture
def key(cloud: Cloud) -> str:
    return cloud.viewer_key()


def archive(cloud: Cloud, why: str = "daily", job: str = JOB) -> None:
    cloud.archive({"archive": [job], "why": why}, None)


def rows(cloud: Cloud) -> list[dict[str, Any]]:
    """Return what Athena would read, for all owners and days, in order of sequence."""
    found = []
    for name, content in cloud.bucket.objects.items():
        if name.startswith("logs/"):
            found += [json.loads(line) for line in zstd.decompress(content).decode().splitlines()]
    return sorted(found, key=lambda row: (row["job"], row["sequence"]))


def state(cloud: Cloud, job: str = JOB) -> dict[str, Any]:
    return cloud.get(f"JOB#{job}", "ARCHIVE") or {}


def answers(cloud: Cloud, key: str) -> list[Any]:
    """Return everything that history says of the job: both ways, by time, by search and as export."""
    found: list[Any] = []
    for path in (
        "/batches?after=0", "/batches?after=4&limit=2", "/batches?after=12", "/batches?before=9&limit=2",
        "/batches?before=9007199254740991&limit=3", "/at?time=0", f"/at?time={NOW_MS * 1000 + 2}",
        f"/at?time={NOW_MS * 1000 + 999}", "/search?q=two&context=1", "/search?q=two&after=5&limit=1",
        "/export?format=text", "/export?format=jsonl&after=5", "/export?format=jsonl&limit=1",
    ):  # fmt: skip
        answer = cloud.http("GET", f"/api/jobs/{JOB}{path}", key)
        assert answer.status == 200, path
        found.append((path, answer.body, answer.headers.get("logferry-next")))
    return found


def test_history_is_the_same_wherever_it_is_kept(cloud: Cloud, agent: Socket, key: str) -> None:
    """All in the table; archived too; expired in any order; nothing left in the table."""
    before = answers(cloud, key)
    archive(cloud)
    assert answers(cloud, key) == before
    for first in (4, 1, 10, 7):
        cloud.expire(first)
        assert answers(cloud, key) == before, first
    cloud.stream()
    viewer = cloud.viewer(key)
    assert viewer.say({"type": "subscribe", "id": "s", "job": JOB})["tip"] == 12
    assert cloud.http("GET", f"/api/jobs/{JOB}", key).json["tip"] == 12


def test_expired_entries_are_gone_for_readers_at_once(cloud: Cloud, agent: Socket, key: str) -> None:
    """DynamoDB deletes them within two days in any order; readers must not see that."""
    cloud.now_ms += 30 * DAY_MS
    page = cloud.http("GET", f"/api/jobs/{JOB}/batches?after=0", key).json
    assert (page["tip"], page["batches"], page["kept"]) == (12, [], 13)
    archive(cloud)  # late, but what is left is saved
    assert len(cloud.http("GET", f"/api/jobs/{JOB}/batches?after=0", key).json["batches"]) == 4


def test_expired_batches_are_not_read_again_for_every_page(cloud: Cloud, agent: Socket, key: str) -> None:
    """Days of them may stay in the table until DynamoDB deletes them: the archive is read instead."""
    for first in range(13, 413):
        cloud.send(agent, first, ("x",))
    archive(cloud)
    cloud.now_ms += 30 * DAY_MS
    query, read = cloud.tables.dynamodb.query, list[int]()

    def counting(**given: Any) -> Any:
        answer = query(**given)
        if given["TableName"] == cloud.tables.log:
            read.append(answer["Count"])
        return answer

    for path, first in (
        ("after=0&limit=1", 1), ("after=200&limit=1", 201), ("after=0&limit=500", 1),
        ("before=300&limit=1", 299), ("before=9007199254740991&limit=1", 412), ("before=413&limit=500", 1),
    ):  # fmt: skip
        read.clear()
        cloud.tables.dynamodb.query = counting
        page = cloud.http("GET", f"/api/jobs/{JOB}/batches?{path}", key).json
        del cloud.tables.dynamodb.query
        assert (page["batches"][0]["first"], page["tip"]) == (first, 412), path
        assert sum(read) <= 60, path


def test_page_says_where_kept_entries_begin(cloud: Cloud, agent: Socket, key: str) -> None:
    """Retention removed the requested ones: a reader need not ask again."""

    def kept(query: str) -> Any:
        return cloud.http("GET", f"/api/jobs/{JOB}/batches?{query}", key).json["kept"]

    assert [kept("after=0"), kept("after=12"), kept("after=99"), kept("before=5"), kept("before=1")] == [None] * 5
    cloud.expire(1, 4)
    assert [kept("after=0"), kept("after=5"), kept("after=6"), kept("before=99")] == [7, 7, None, 7]
    assert [kept("before=99&limit=1"), kept("before=5")] == [None, 5]
    cloud.expire(7, 10)
    cloud.ingest_store.record_status(JOB, {"tip": 12}, NOW_MS)
    assert [kept("after=0"), kept("after=12"), kept("before=99")] == [13, None, 13]


def test_archive_expires_for_all_readers_at_once(cloud: Cloud, agent: Socket, key: str) -> None:
    """The index says when, long before S3 deletes it."""
    cloud.archive_service._retention_days = 40
    archive(cloud)
    cloud.expire(1, 4, 7, 10)
    cloud.now_ms += 40 * DAY_MS - 1000
    assert len(cloud.http("GET", f"/api/jobs/{JOB}/batches", key).json["batches"]) == 4
    cloud.now_ms += 1000
    page = cloud.http("GET", f"/api/jobs/{JOB}/batches", key).json
    assert (page["batches"], page["kept"]) == ([], 13)
    assert cloud.http("GET", f"/api/jobs/{JOB}/at?time=0", key).json == {"sequence": 13, "tip": 12}
    assert cloud.http("GET", f"/api/jobs/{JOB}/export?format=text", key).body == ""


def test_missing_object_is_a_hole_and_no_error(cloud: Cloud, agent: Socket, key: str) -> None:
    """Somebody deleted it by hand."""
    archive(cloud)
    cloud.expire(1, 4, 7, 10)
    cloud.bucket.objects.clear()
    page = cloud.http("GET", f"/api/jobs/{JOB}/batches", key).json
    assert (page["batches"], page["kept"]) == ([], 13)


def test_rows_are_the_exports_entries_once_each(cloud: Cloud, agent: Socket, key: str) -> None:
    """However often the job is archived."""
    archive(cloud)
    cloud.send(agent, 13, ("late",))
    archive(cloud)
    archive(cloud)
    export = cloud.http("GET", f"/api/jobs/{JOB}/export?format=jsonl", key).body.splitlines()
    wanted = [
        {
            "sequence": row["sequence"], "time": row["timestamp"], "stream": row["stream"], "line": row["line"],
            "job": JOB, "name": "web", "host": "h1", "image": "",
        }
        for row in map(json.loads, export)
    ]  # fmt: skip
    assert rows(cloud) == wanted
    assert len(cloud.bucket.puts) == len(set(cloud.bucket.puts)) == 4
    assert all(name.startswith(("segments/", "logs/owner=team/day=2025-11-24/")) for name in cloud.bucket.objects)


def test_quiet_job_reopens_at_its_end_after_its_log_expired(cloud: Cloud, agent: Socket) -> None:
    """Its agent crashed before it reported its last tip, and returns after everything has expired."""
    cloud.ingest_store.record_status(JOB, {"tip": 6, "digest": "old", "first": 4, "cursor": "old"}, NOW_MS)
    archive(cloud)
    last = cloud.ingest_store.last_batch(JOB)
    assert last is not None
    cloud.expire(1, 4, 7, 10)
    opened = cloud.open_job(agent)
    assert (opened["tip"], opened["first"], opened["cursor"]) == (12, 10, "cursor-10")
    assert opened["digest"] == last["digest"]
    assert cloud.send(agent, 13)["outcome"] == "stored"


def test_cold_function_knows_the_archives_tip(cloud: Cloud, agent: Socket) -> None:
    """No batch is stored again under an expired sequence."""
    archive(cloud)
    cloud.expire(1, 4, 7, 10)
    other = Cloud(cloud.tables)
    again = other.agent(other.agent_key())
    assert other.send(again, 1, ("other",))["outcome"] == "conflict"
    assert other.send(again, 13)["outcome"] == "stored"
    other.executor.shutdown()


def test_end_of_a_job_is_sent_to_the_archive(cloud: Cloud, agent: Socket) -> None:
    """By the function that receives it; a running job's status sends nothing."""
    for current in ("running", "exited", "removed"):
        status = {"job": CONTAINER, "life": {"state": current}, "tip": 12}
        assert agent.say({"type": "status", "id": "s", "instance": "E", "jobs": [status]})["type"] == "noted"
    assert cloud.ended == [JOB, JOB]


def test_status_is_stored_although_the_archive_is_unreachable(cloud: Cloud, agent: Socket) -> None:
    """The archive's sweeps find the job."""

    def fail(_jobs: list[str]) -> None:
        raise RuntimeError("throttled")

    cloud.tell = fail
    status = {"job": CONTAINER, "life": {"state": "exited"}, "tip": 12}
    assert agent.say({"type": "status", "id": "s", "instance": "E", "jobs": [status]})["type"] == "noted"
    assert (cloud.ingest_store.job(JOB) or {})["life"]["state"] == "exited"


def test_sweep_hands_on_listed_jobs_only(cloud: Cloud, agent: Socket) -> None:
    """Opening lists a job. A fully archived job that nobody can write leaves the list until it is reopened."""
    cloud.archive({"sweep": "daily"}, None)
    assert cloud.again == [{"archive": [JOB], "why": "daily"}]
    archive(cloud)
    cloud.now_ms += 3 * 3_600_000
    archive(cloud, "hourly")
    cloud.again.clear()
    cloud.archive({"sweep": "hourly"}, None)
    assert cloud.again == []
    cloud.open_job(agent)
    cloud.archive({"sweep": "hourly"}, None)
    assert cloud.again == [{"archive": [JOB], "why": "hourly"}]


def test_sweep_records_its_time_once_it_handed_on_everything(cloud: Cloud, agent: Socket) -> None:
    """A failed sweep does not count."""

    def refuse(_event: Any) -> None:
        raise RuntimeError("throttled")

    refused = build_handler(cloud.archive_service, refuse, cloud.logger, cloud.metrics)
    with pytest.raises(RuntimeError, match="throttled"):
        refused({"sweep": "hourly"}, None)
    assert cloud.get("SWEEP", "SWEEP") is None
    cloud.archive({"sweep": "hourly"}, None)
    assert cloud.get("SWEEP", "SWEEP") == {
        "pk": "SWEEP", "sk": "SWEEP", "at": cloud.now_ms, "why": "hourly", "jobs": 1,
    }  # fmt: skip


def test_job_reopened_while_leaving_the_list_stays_listed(cloud: Cloud, agent: Socket) -> None:
    """The removal is conditional on the opening that it saw."""
    archive(cloud)
    seen = cloud.archive_store.state(JOB)
    cloud.now_ms += 3 * 3_600_000
    cloud.open_job(agent)
    cloud.archive_store.remove_from_unarchived(JOB, seen)
    assert list(cloud.archive_store.unarchived(items.shard_of(JOB))) == [JOB]


def test_many_jobs_are_handled_in_small_groups_and_one_failure_stops_none(cloud: Cloud, agent: Socket) -> None:
    """A failed job is passed on alone, and raised there, so that Lambda repeats nothing else."""
    jobs = [f"web.{index:064x}" for index in range(30)]
    for index in range(30):
        cloud.open_job(agent, f"{index:064x}")
    cloud.archive({"sweep": "hourly"}, None)
    assert sorted(job for event in cloud.again for job in event["archive"]) == sorted([*jobs, JOB])
    assert max(len(event["archive"]) for event in cloud.again) == 25

    def fail(_operation: str, name: str) -> None:
        if JOB in name:
            raise RuntimeError("S3 is away")

    cloud.bucket.before = fail
    cloud.send(agent, 1, job=jobs[0].partition(".")[2])
    cloud.again.clear()
    cloud.archive({"archive": [JOB, jobs[0]], "why": "daily"}, None)
    assert cloud.again == [{"archive": [JOB], "why": "daily", "hops": 1}]
    with pytest.raises(NotArchivedError, match=JOB):
        cloud.archive(cloud.again[0], None)
    assert (state(cloud).get("tip"), state(cloud, jobs[0])["tip"]) == (None, 3)
    cloud.bucket.before = lambda _operation, _name: None
    archive(cloud)
    assert state(cloud)["tip"] == 12


def test_invocation_ends_in_time_and_continues_in_the_next(cloud: Cloud, agent: Socket) -> None:
    """With the rest of its jobs, after one step at least."""
    cloud.clock_s = iter([0.0, 99.0, 99.0]).__next__
    cloud.archive({"archive": [JOB, "web." + "d" * 64], "why": "daily"}, None)
    assert cloud.again == [{"archive": [JOB, "web." + "d" * 64], "why": "daily", "hops": 1}]
    assert state(cloud)["tip"] == 12


@pytest.mark.parametrize(
    "event", [{}, {"sweep": "weekly"}, {"archive": JOB, "why": "daily"}, {"archive": [JOB]}, {"erase": 5}]
)
def test_unknown_event_is_refused(cloud: Cloud, event: dict[str, Any]) -> None:
    """It fails, and ends in the on-failure bucket."""
    with pytest.raises(UnknownEventError):
        cloud.archive(event, None)


def test_invalid_job_id_is_refused(cloud: Cloud) -> None:
    """A job id becomes part of object keys."""
    with pytest.raises(ValueError, match="not a job id"):
        cloud.archive({"archive": ["../../x"], "why": "daily"}, None)


def test_entries_expired_before_archiving_are_counted_and_the_rest_continues(
    cloud: Cloud, agent: Socket, key: str
) -> None:
    """It must not happen. If it does, what is left is archived, and readers are told."""
    archive(cloud)
    for first in (13, 16, 19):
        cloud.send(agent, first)
    cloud.expire(1, 4, 7, 10, 13)
    archive(cloud)
    cloud.expire(16, 19)
    assert state(cloud)["tip"] == 21
    assert [row["sequence"] for row in rows(cloud)] == [*range(1, 13), *range(16, 22)]
    page = cloud.http("GET", f"/api/jobs/{JOB}/batches?after=12", key).json
    assert (page["kept"], [one["first"] for one in page["batches"]]) == (16, [16, 19])


def test_infeasible_plan_is_discarded(cloud: Cloud, agent: Socket) -> None:
    """A step crashed, days passed, and planned batches expired."""

    def fail(_operation: str, name: str) -> None:
        if name.startswith("logs/"):
            raise RuntimeError("S3 is away")

    cloud.bucket.before = fail
    with pytest.raises(NotArchivedError):
        archive(cloud)
    assert len(cloud.bucket.objects) == 1
    cloud.bucket.before = lambda _operation, _name: None
    cloud.expire(4)
    archive(cloud)
    assert [row["sequence"] for row in rows(cloud)] == [1, 2, 3, *range(7, 13)]
    assert state(cloud)["tip"] == 12
    assert "planned_last" not in state(cloud)
    assert len(cloud.bucket.objects) == 4, "nothing of the first plan is left"


# --- erasing


def test_erasing_includes_the_archive_and_reports_it(cloud: Cloud, agent: Socket, key: str) -> None:
    """Segments, rows, and the index; the record counts what is gone."""
    archive(cloud)
    cloud.send(agent, 13)
    archive(cloud)
    cloud.expire(1, 4)
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", key).status == 202
    cloud.archive({"erase": JOB}, None)
    assert cloud.bucket.objects == {}
    assert [place for place in cloud.snapshot() if place.startswith("ARCHIVE#")] == []
    record = cloud.ingest_store.job(JOB)
    assert record is not None
    assert (record["erased_batches"], record["erased_objects"]) == (3, 4)
    assert record["erased"]
    cloud.again.clear()
    cloud.archive({"sweep": "daily"}, None)
    assert cloud.again == []


def test_unreported_deletion_is_found_by_the_sweep(cloud: Cloud, agent: Socket, key: str) -> None:
    """The job is listed from its deletion until it is erased."""
    archive(cloud)
    cloud.http("DELETE", f"/api/jobs/{JOB}", key)
    cloud.archive({"sweep": "daily"}, None)
    assert cloud.again == [{"archive": [JOB], "why": "daily"}]
    cloud.archive(cloud.again[0], None)
    assert cloud.bucket.objects == {}
    assert (cloud.ingest_store.job(JOB) or {})["erased"]


def test_tombstone_is_behind_the_archives_tip(cloud: Cloud, agent: Socket, key: str) -> None:
    """Even if the table has forgotten everything: a function that remembers the tip meets it there."""
    archive(cloud)
    cloud.expire(1, 4, 7, 10)
    cloud.http("DELETE", f"/api/jobs/{JOB}", key)
    assert cloud.send(agent, 13)["reason"] == "deleted"


def test_step_that_arrives_after_the_deletion_removes_its_objects(cloud: Cloud, agent: Socket, key: str) -> None:
    """It was in progress while the job was deleted and erased."""

    def meanwhile(_operation: str, name: str) -> None:
        if name.startswith("logs/"):
            cloud.bucket.after = lambda _operation, _name: None
            cloud.http("DELETE", f"/api/jobs/{JOB}", key)
            cloud.archive({"erase": JOB}, None)

    cloud.bucket.after = meanwhile
    archive(cloud)
    assert cloud.bucket.puts
    assert cloud.bucket.objects == {}


def test_run_that_meets_a_deletion_erases_the_rest(cloud: Cloud, agent: Socket, key: str) -> None:
    """The invocation that began to erase has not finished: no run waits for it."""
    cloud.clock_s = iter(range(1_000)).__next__  # a run that only waited would be out of time

    def meanwhile(_operation: str, name: str) -> None:
        if name.startswith("logs/"):
            cloud.bucket.after = lambda _operation, _name: None
            cloud.http("DELETE", f"/api/jobs/{JOB}", key)
            cloud.archive_store.block_steps(JOB, NOW_MS)

    cloud.bucket.after = meanwhile
    archive(cloud)
    assert (cloud.ingest_store.job(JOB) or {})["erased"]
    assert cloud.bucket.objects == {}
    assert cloud.again == []


def test_bodies_keep_their_bytes(cloud: Cloud, agent: Socket, key: str) -> None:
    """Invariant 6, from the agent to the reader of an archived job."""
    sent = cloud.http("GET", f"/api/jobs/{JOB}/batches", key).json["batches"]
    archive(cloud)
    cloud.expire(1, 4, 7, 10)
    found = cloud.http("GET", f"/api/jobs/{JOB}/batches", key).json["batches"]
    assert found == sent
    assert decode_body(base64.b64decode(found[0]["body"])).texts == ["one", "two", "three"]


def test_interrupted_deletion_prevents_later_writes(cloud: Cloud, agent: Socket) -> None:
    """The function crashed between the record's tombstone and the one behind the log.

    A sweep finds the job; a process that remembers its tip would otherwise store batches that nobody reads or erases.
    """
    query.store.Store(cloud.tables.dynamodb, cloud.tables.log, cloud.tables.registry).mark_deleted(
        JOB, "me", cloud.now_ms
    )
    assert cloud.send(agent, 13)["outcome"] == "stored"
    archive(cloud)
    for _ in range(2):
        assert (cloud.send(agent, 16)["outcome"], cloud.send(agent, 16)["reason"]) == ("rejected", "deleted")
        cloud.archive({"erase": JOB}, None)
    [left] = cloud.tables.dynamodb.scan(TableName=cloud.tables.log)["Items"]
    assert (items.from_item(left)["first"], "deleted" in left) == (16, True)
