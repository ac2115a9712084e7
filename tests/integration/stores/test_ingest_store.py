"""Test ingest's store on every DynamoDB."""

import pytest
from tests.support.batches import NOW_MS, batch
from tests.support.clouds import Tables

from ingest.store import BatchExistsError, Store

JOB = "web." + "c" * 64


@pytest.fixture
def store(tables: Tables) -> Store:
    return Store(tables.dynamodb, tables.log, tables.registry, retention_days=30)


def opened(store: Store, **overrides: object) -> dict[str, object]:
    given = {"owner": "team", "principal": "web", "instance": "ENGINE", "container": {"name": "a"}, "life": {}}
    return store.open_job(JOB, **{**given, "now_ms": NOW_MS, **overrides})  # type: ignore[arg-type]


def test_stored_batch_is_the_last_one(store: Store) -> None:
    """`open` answers with what was acknowledged."""
    store.put_batch(JOB, batch(1), NOW_MS)
    store.put_batch(JOB, batch(4, ("four",)), NOW_MS)
    last = store.last_batch(JOB)
    assert last is not None
    assert (last["first"], last["count"], last["cursor"]) == (4, 1, "cursor-4")
    assert last["digest"] == batch(4, ("four",)).digest


def test_sequence_is_assigned_once(store: Store) -> None:
    """Invariant 4: one of two writers loses and learns what is stored."""
    store.put_batch(JOB, batch(1), NOW_MS)
    with pytest.raises(BatchExistsError) as refused:
        store.put_batch(JOB, batch(1, ("another",)), NOW_MS)
    assert refused.value.existing["digest"] == batch(1).digest
    assert store.batch_at(JOB, 1) == store.last_batch(JOB)


def test_nothing_is_stored_for_an_unknown_job(store: Store) -> None:
    """No batch, no record, no watch."""
    assert store.last_batch(JOB) is None
    assert store.batch_at(JOB, 1) is None
    assert store.job(JOB) is None
    assert store.watch(JOB) is None


def test_job_keeps_its_first_owner(store: Store) -> None:
    """The first open settles who may read a job; reassigning a key moves no history."""
    opened(store)
    again = opened(store, owner="thief", container={"name": "b"}, now_ms=NOW_MS + 5)
    assert (again["owner"], again["gpk"]) == ("team", "OWNER#team")
    assert again["container"] == {"name": "b"}
    assert again["seen"] == NOW_MS + 5
    assert again["created"] == NOW_MS


def test_status_changes_only_a_known_job(store: Store) -> None:
    """A status neither creates a record nor restores a deleted one."""
    assert store.record_status(JOB, {"tip": 3}, NOW_MS) is False
    assert store.job(JOB) is None
    opened(store)
    status = {"tip": 3, "cursor": "c", "life": {"state": "exited"}, "last": None}
    assert store.record_status(JOB, status, NOW_MS) is True
    record = store.job(JOB)
    assert record is not None
    assert (record["tip"], record["cursor"], record["life"]) == (3, "c", {"state": "exited"})
    assert "last" not in record


def test_older_status_is_ignored(store: Store) -> None:
    """The table decides which is later, as two functions may write concurrently."""
    opened(store)
    for tip, at, taken in ((3, 5, True), (3, 5, True), (3, 4, False), (2, 9, False), (4, 1, True), (3, 9, False)):
        assert store.record_status(JOB, {"noted_tip": tip, "noted_at": at}, NOW_MS) is taken


def test_batch_expires_after_its_retention(store: Store, tables: Tables) -> None:
    """The table's time to live deletes it."""
    store.put_batch(JOB, batch(1), NOW_MS)
    item = tables.dynamodb.get_item(TableName=tables.log, Key={"job": {"S": JOB}, "first": {"N": "1"}})["Item"]
    assert int(item["expires"]["N"]) == NOW_MS // 1000 + 30 * 86_400
    assert item["body"]["B"] == batch(1).body
