"""Test that the tables in memory behave as DynamoDB does: one suite over all functions' stores, on both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.support.tables import failure, logferry_tables

import broadcast.store
import connect.store
import ingest.store
import query.store
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.messages import Batch
from registry.principal import Principal

CONTAINER = "c" * 64
JOB = f"host.{CONTAINER}"
VIEWER = Principal(kind="viewer", name="me", credential="v" * 12, subject="me")


@pytest.fixture(params=["memory", "moto"])
def dynamodb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Provide boto3's client: ours in memory, or moto's."""
    if request.param == "memory":
        yield logferry_tables()
        return
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        text = [("pk", "S"), ("sk", "S"), ("gpk", "S"), ("gsk", "S"), ("spk", "S"), ("ssk", "S")]
        _create(client, "log", [("job", "S"), ("first", "N")], ("job", "first"), {})
        _create(client, "registry", text, ("pk", "sk"), {"by_target": ("gpk", "gsk"), "by_shard": ("spk", "ssk")})
        yield client


def _create(
    client: Any, name: str, attributes: list[tuple[str, str]], keys: tuple[str, str], indexes: dict[str, Any]
) -> None:
    def schema(pair: tuple[str, str]) -> list[dict[str, str]]:
        return [{"AttributeName": pair[0], "KeyType": "HASH"}, {"AttributeName": pair[1], "KeyType": "RANGE"}]

    more = {}
    if indexes:
        more["GlobalSecondaryIndexes"] = [
            {"IndexName": index, "KeySchema": schema(pair), "Projection": {"ProjectionType": "ALL"}}
            for index, pair in indexes.items()
        ]
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in attributes],
        KeySchema=schema(keys),
        **more,
    )


def some_batch(first: int, *texts: str) -> Batch:
    """Return a batch of lines."""
    times = list(range(1_000_000, 1_000_000 + len(texts)))
    body = encode_body(times, "o" * len(texts), list(texts))
    return Batch(
        job=CONTAINER,
        first=first,
        count=len(texts),
        start=times[0],
        end=times[-1],
        raw=sum(map(len, texts)),
        digest=digest_of(body),
        cursor=f"after {first}",
        body=body,
    )


def ingest_store(dynamodb: Any) -> ingest.store.Store:
    """Return ingest's store."""
    return ingest.store.Store(dynamodb, "log", "registry", 30)


def opened(dynamodb: Any, job: str = JOB, owner: str = "team", created: int = 5) -> dict[str, Any]:
    """Open a job as an agent and return its record."""
    return ingest_store(dynamodb).open_job(
        job,
        owner=owner,
        principal="host",
        instance="engine",
        container={"name": "web"},
        life={"state": "running", "created": created},
        now_ms=10,
    )


def test_batch_is_put_once_and_a_second_put_learns_what_is_there(dynamodb: Any) -> None:
    """It fails, and carries the first one's digest."""
    store = ingest_store(dynamodb)
    store.put_batch(JOB, some_batch(1, "a", "b"), 0)
    with pytest.raises(ingest.store.BatchExistsError) as there:
        store.put_batch(JOB, some_batch(1, "other"), 0)
    assert there.value.existing["digest"] == some_batch(1, "a", "b").digest
    assert (store.batch_at(JOB, 1) or {})["count"] == 2
    assert store.batch_at(JOB, 2) is None


def test_last_batch_is_the_one_with_the_greatest_sequence(dynamodb: Any) -> None:
    """By number, not by text, and of this job only."""
    store = ingest_store(dynamodb)
    assert store.last_batch(JOB) is None
    for first in (1, 9, 10):
        store.put_batch(JOB, some_batch(first, "x"), 0)
    store.put_batch("host." + "d" * 64, some_batch(99, "x"), 0)
    last = store.last_batch(JOB)
    assert last is not None
    assert (last["first"], last["cursor"]) == (10, "after 10")
    assert connect.store.Store(dynamodb, "registry", "log").tip(JOB) == 10


def test_history_goes_both_ways_from_a_sequence_inside_a_batch(dynamodb: Any) -> None:
    """The batch that holds the sequence is included, as its later entries were requested."""
    store = ingest_store(dynamodb)
    for first in range(1, 300, 3):
        store.put_batch(JOB, some_batch(first, "a", "b", "c"), 0)
    history = query.store.Store(dynamodb, "log", "registry")
    assert [item["first"] for item in history.batches_after(JOB, 290)] == [289, 292, 295, 298]
    assert [item["first"] for item in history.batches_after(JOB, 291)] == [292, 295, 298]
    assert len(list(history.batches_after(JOB, 0))) == 100
    assert [item["first"] for item in history.batches_before(JOB, 8)] == [7, 4, 1]
    assert history.tip(JOB) == 300


def test_job_keeps_its_first_owner_and_its_newest_lifecycle(dynamodb: Any) -> None:
    """`if_not_exists` beside plain assignments."""
    opened(dynamodb)
    again = opened(dynamodb, owner="others", created=6)
    assert (again["owner"], again["created"], again["life"]["created"]) == ("team", 5, 6)
    assert ingest_store(dynamodb).job(JOB) == again


def test_status_changes_only_an_existing_record(dynamodb: Any) -> None:
    """A late status must not recreate a deleted job."""
    store = ingest_store(dynamodb)
    assert store.record_status(JOB, {"tip": 3}, 1) is False
    opened(dynamodb)
    assert store.record_status(JOB, {"tip": 3, "gaps": None}, 77) is True
    record = store.job(JOB)
    assert record is not None
    assert (record["tip"], record["seen"], "gaps" in record) == (3, 77, False)


def test_jobs_are_listed_by_owner_and_all_together_newest_first(dynamodb: Any) -> None:
    """Over the two indexes."""
    for number, owner in ((1, "a"), (2, "b"), (3, "a")):
        opened(dynamodb, job=f"host.{number:064d}", owner=owner, created=number)
    history = query.store.Store(dynamodb, "log", "registry")
    assert [item["created"] for item in history.jobs(["a"], None, 1)] == [3, 1]
    assert [item["created"] for item in history.jobs(None, None, 2)] == [3, 2, 1]


def test_subscription_is_found_by_job_and_by_connection(dynamodb: Any) -> None:
    """It is gone once removed."""
    store = connect.store.Store(dynamodb, "registry", "log")
    for connection in ("one=", "two="):
        store.put_subscription(JOB, connection, VIEWER, 99, 7)
    sender = broadcast.store.Store(dynamodb, "registry")
    assert sorted(one.connection for one in sender.subscribers(f"JOB#{JOB}")) == ["one=", "two="]
    assert store.subscribed_jobs("one=") == [JOB]
    assert store.count_viewers(JOB) == 2
    store.remove_subscription(JOB, "one=")
    assert store.subscribed_jobs("one=") == []
    assert store.count_viewers(JOB) == 1


def test_subscription_is_removed_only_if_unchanged(dynamodb: Any) -> None:
    """A newer one of the same connection stays."""
    store, sender = connect.store.Store(dynamodb, "registry", "log"), broadcast.store.Store(dynamodb, "registry")
    store.put_subscription(JOB, "one=", VIEWER, 99, 7)
    (old,) = sender.subscribers(f"JOB#{JOB}")
    store.put_subscription(JOB, "one=", VIEWER, 99, 8)
    sender.remove_subscriber(old)
    sender.mark_lagging(old, 1000)
    (new,) = sender.subscribers(f"JOB#{JOB}")
    assert (new.created, new.lagging) == (8, 0)
    sender.mark_lagging(new, 1000)
    assert [one.lagging for one in sender.subscribers(f"JOB#{JOB}")] == [1000]
    sender.remove_subscriber(new)
    assert list(sender.subscribers(f"JOB#{JOB}")) == []


def test_one_of_two_concurrent_watches_wins(dynamodb: Any) -> None:
    """Later the next may."""
    store = connect.store.Store(dynamodb, "registry", "log")
    assert store.extend_watch(JOB, 200, 100, 0) is True
    assert store.extend_watch(JOB, 300, 150, 0) is False
    assert store.extend_watch(JOB, 400, 201, 5) is True
    assert (ingest_store(dynamodb).watch(JOB) or {})["interval"] == 5


def test_ticket_is_used_once(dynamodb: Any) -> None:
    """A conditional delete that returns what it deleted."""
    query.store.Store(dynamodb, "log", "registry").put_ticket("digest", VIEWER.to_context(), None, 9000)
    store = connect.store.Store(dynamodb, "registry", "log")
    assert (store.redeem_ticket("digest") or {})["until"] == 9000
    assert store.redeem_ticket("digest") is None


def test_instances_links_are_its_live_connections(dynamodb: Any) -> None:
    """Until they are removed."""
    store = connect.store.Store(dynamodb, "registry", "log")
    for connection in ("a=", "b="):
        ingest_store(dynamodb).link_instance("host", "engine", connection, 99, 5)
    assert sorted(store.instance_connections("host", "engine")) == ["a=", "b="]
    store.remove_link("host", "engine", "a=")
    assert store.instance_connections("host", "engine") == ["b="]


def test_tables_in_memory_can_fail_before_and_after() -> None:
    """Throttled before the call, or carried out with the answer lost."""
    tables = logferry_tables()
    store = ingest_store(tables)

    def fail(operation: str, _table: str) -> None:
        raise failure(operation, "ProvisionedThroughputExceededException")

    tables.before = fail
    with pytest.raises(ingest.store.ThrottledError):
        store.put_batch(JOB, some_batch(1, "x"), 0)
    tables.before = lambda _operation, _table: None
    assert store.last_batch(JOB) is None
    tables.after = fail
    with pytest.raises(ingest.store.ThrottledError):
        store.put_batch(JOB, some_batch(1, "x"), 0)
    tables.after = lambda _operation, _table: None
    assert store.last_batch(JOB) is not None
