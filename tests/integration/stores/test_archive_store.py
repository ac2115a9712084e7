"""Test the archive stores of the functions archive and query on every DynamoDB and S3."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from botocore.exceptions import ClientError
from tests.integration.stores.conftest import Bucket
from tests.support.batches import NOW_MS, batch
from tests.support.bucket import MemoryBucket
from tests.support.clouds import Tables

import query.store
from archive.core import Backlog, Plan, build_segments, plan_run
from archive.service import Service
from archive.store import Store
from ingest.store import Store as IngestStore
from query.archive_reader import ArchiveReader
from query.history import History
from registry import items
from registry.archive_index import Segment

JOB = "web." + "c" * 64
OTHER = "web." + "d" * 64


@pytest.fixture
def store(tables: Tables, bucket: Bucket) -> Store:
    return Store(tables.dynamodb, bucket.s3, tables.log, tables.registry, bucket.name)


@pytest.fixture
def ingest(tables: Tables) -> IngestStore:
    made = IngestStore(tables.dynamodb, tables.log, tables.registry, retention_days=30)
    made.open_job(JOB, owner="team", principal="web", instance="E", container={"name": "a"}, life={}, now_ms=NOW_MS)
    return made


def put(ingest: IngestStore, *firsts: int) -> None:
    for first in firsts:
        ingest.put_batch(JOB, batch(first), NOW_MS)


def planned(store: Store) -> tuple[Plan, list[Any]]:
    """Write a plan for everything that is left."""
    state = store.state(JOB)
    batches = list(store.batches_after(JOB, state.tip))
    plan = plan_run(batches)
    assert store.save_plan(JOB, state, plan)
    return plan, batches


def segments(plan: Plan, batches: list[Any]) -> list[Segment]:
    return [segment for segment, _inside in build_segments(plan, batches, 0)]


def test_opened_job_is_listed_until_removed(store: Store, ingest: IngestStore) -> None:
    """`open` returns the archive's state; a removal applies only to the opening that it saw."""
    assert ingest.archive(JOB) is None
    assert ingest.list_unarchived(JOB, NOW_MS)["opened"] == NOW_MS
    seen = store.state(JOB)
    assert list(store.unarchived(items.shard_of(JOB))) == [JOB]
    assert list(store.unarchived((items.shard_of(JOB) + 1) % items.SHARDS)) == []
    ingest.list_unarchived(JOB, NOW_MS + 1)
    store.remove_from_unarchived(JOB, seen)
    assert list(store.unarchived(items.shard_of(JOB))) == [JOB]
    store.remove_from_unarchived(JOB, store.state(JOB))
    assert list(store.unarchived(items.shard_of(JOB))) == []


def test_remaining_batches_exclude_the_tombstone(store: Store, ingest: IngestStore) -> None:
    """A tombstone cannot be archived."""
    assert store.backlog(JOB, 0) is None
    put(ingest, 1, 4, 7)
    assert store.backlog(JOB, 0) == Backlog(1, NOW_MS, 9)
    assert store.backlog(JOB, 3) == Backlog(4, NOW_MS, 9)
    query.store.Store(store._dynamodb, store._log, store._registry).put_tombstone(JOB, 0, NOW_MS)
    assert store.backlog(JOB, 6) == Backlog(7, NOW_MS, 9)
    assert store.backlog(JOB, 9) is None
    assert [one["first"] for one in store.batches_after(JOB, 3)] == [4, 7]


def test_only_one_of_two_plans_is_written(store: Store, ingest: IngestStore) -> None:
    """Later readers of the state find that plan unchanged."""
    put(ingest, 1, 4)
    before = store.state(JOB)
    plan, _batches = planned(store)
    assert store.save_plan(JOB, before, Plan(1, 3, ((1, 3),), ("2025-11-24",))) is False
    assert store.state(JOB).plan == plan == Plan(1, 6, ((1, 6),), ("2025-11-24",))


def test_plan_is_committed_once_with_all_its_segments(store: Store, ingest: IngestStore) -> None:
    """All or nothing: the index never lists half a run."""
    put(ingest, 1, 4)
    plan, batches = planned(store)
    made = segments(plan, batches)
    assert not store.is_archived(JOB, plan)
    assert store.commit(JOB, plan, made, batches[-1], NOW_MS) is True
    assert store.commit(JOB, plan, [replace(made[0], raw=0)], batches[-1], NOW_MS) is False
    assert store.is_archived(JOB, plan)
    assert list(store.index.from_sequence(JOB, 0)) == made
    state = store.state(JOB)
    assert (state.tip, state.plan, state.archived) == (6, None, NOW_MS)
    known = ingest.archive(JOB)
    assert known is not None
    assert (known["tip"], known["first"], known["digest"], known["cursor"]) == (6, 4, batch(4).digest, "cursor-4")


def test_withdrawn_plan_is_not_committed(store: Store, ingest: IngestStore) -> None:
    """Nor withdrawn twice; nor does another plan replace an existing one."""
    put(ingest, 1)
    plan, batches = planned(store)
    assert store.discard_plan(JOB, plan) is True
    assert store.discard_plan(JOB, plan) is False
    assert store.commit(JOB, plan, segments(plan, batches), batches[-1], NOW_MS) is False
    assert list(store.index.from_sequence(JOB, 0)) == []


def test_deleted_job_is_neither_planned_nor_committed(store: Store, ingest: IngestStore) -> None:
    """From the moment of erasure, also for a run in progress."""
    put(ingest, 1)
    state = store.state(JOB)
    plan, batches = planned(store)
    store.block_steps(JOB, NOW_MS)
    assert store.commit(JOB, plan, segments(plan, batches), batches[-1], NOW_MS) is False
    store.finish_erasure(JOB, NOW_MS)
    assert store.save_plan(JOB, state, plan) is False
    assert store.state(JOB).deleted


def test_index_is_read_both_ways_from_inside_a_segment(store: Store, ingest: IngestStore) -> None:
    """With more segments than one page of a query holds."""
    for number in range(1, 121):
        put(ingest, number * 3 - 2)
        plan, batches = planned(store)
        assert store.commit(JOB, plan, segments(plan, batches), batches[-1], NOW_MS)
    index = store.index
    every = list(index.from_sequence(JOB, 1))
    assert [one.first for one in every] == list(range(1, 361, 3))
    assert [one.first for one in islice(index.from_sequence(JOB, 6), 2)] == [4, 7]
    assert [one.first for one in index.before_sequence(JOB, 8)] == [7, 4, 1]
    assert [one.first for one in index.before_sequence(JOB, 7)] == [4, 1]
    assert list(index.before_sequence(JOB, 2**53 - 1)) == every[::-1]
    assert list(index.from_sequence(JOB, 361)) == list(index.before_sequence(JOB, 1)) == []
    assert list(index.from_sequence(OTHER, 0)) == []


def test_missing_objects_do_not_fail_put_read_and_delete(store: Store, bucket: Bucket) -> None:
    """Putting an object again is no error; nor is deleting a missing one."""
    for _ in range(2):
        store.put_object("segments/a", b"bytes")
    assert bucket.s3.get_object(Bucket=bucket.name, Key="segments/a")["Body"].read() == b"bytes"
    store.delete_objects(["segments/a", "segments/b"])
    with pytest.raises(ClientError) as gone:
        bucket.s3.get_object(Bucket=bucket.name, Key="segments/a")
    assert gone.value.response["Error"]["Code"] == "NoSuchKey"


def test_bucket_in_memory_answers_like_s3() -> None:
    """Unit tests rely on it."""
    memory = MemoryBucket()
    memory.put_object(Bucket="b", Key="k", Body=b"bytes")
    assert memory.get_object(Bucket="b", Key="k")["Body"].read() == b"bytes"
    memory.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}, {"Key": "l"}], "Quiet": True})
    with pytest.raises(ClientError) as gone:
        memory.get_object(Bucket="b", Key="k")
    assert gone.value.response["Error"]["Code"] == "NoSuchKey"


def test_job_is_archived_read_back_and_erased(
    store: Store, ingest: IngestStore, tables: Tables, bucket: Bucket
) -> None:
    """End to end, with a table that lost every second batch, and then all."""
    put(ingest, 1, 4, 7, 10)
    ingest.list_unarchived(JOB, NOW_MS)
    logger, metrics = Logger(service="tests", level="CRITICAL"), Metrics(namespace="Tests", service="tests")
    service = Service(store, 0, logger, metrics, lambda: NOW_MS)
    assert service.archive(JOB, "daily", lambda: False)
    table = query.store.Store(tables.dynamodb, tables.log, tables.registry)
    history = History(table, ArchiveReader(store.index, lambda: bucket.s3, bucket.name, lambda: NOW_MS), lambda: NOW_MS)
    for gone in ((4, 10), (1, 7)):
        ingest_keys = [{"job": {"S": JOB}, "first": {"N": str(first)}} for first in gone]
        for key in ingest_keys:
            tables.dynamodb.delete_item(TableName=tables.log, Key=key)
        assert [one["digest"] for one in history.after(JOB, 0, 12)] == [batch(n).digest for n in (1, 4, 7, 10)]
        assert [one["first"] for one in history.before(JOB, 9, 12)] == [7, 4, 1]
    assert (table.tip(JOB), table.archived_tip(JOB)) == (0, 12)
    table.mark_deleted(JOB, "me", NOW_MS)
    table.put_tombstone(JOB, 12, NOW_MS)
    assert service.erase(JOB, lambda: False)
    assert bucket.s3.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    assert list(store.unarchived(items.shard_of(JOB))) == []
    record = ingest.job(JOB)
    assert record is not None
    assert (record["erased_objects"], record["erased"]) == (2, NOW_MS)
