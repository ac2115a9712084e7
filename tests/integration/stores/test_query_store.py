"""Test query's store on every DynamoDB."""

from itertools import islice

import pytest
from tests.support.batches import NOW_MS, batch
from tests.support.clouds import Tables

from ingest.store import Store as IngestStore
from query.store import Store

JOB = "web." + "c" * 64


@pytest.fixture
def store(tables: Tables) -> Store:
    return Store(tables.dynamodb, tables.log, tables.registry)


@pytest.fixture
def ingest(tables: Tables) -> IngestStore:
    return IngestStore(tables.dynamodb, tables.log, tables.registry, retention_days=30)


def open_jobs(ingest: IngestStore, owner: str, *ages: int) -> list[str]:
    jobs = []
    for age in ages:
        jobs.append(f"{owner}.{age:064x}")
        ingest.open_job(
            jobs[-1],
            owner=owner,
            principal=owner,
            instance="E",
            container={},
            life={"created": NOW_MS - age},
            now_ms=NOW_MS,
        )
    return jobs


def test_jobs_are_listed_newest_first_over_all_partitions(store: Store, ingest: IngestStore) -> None:
    """Owners, or shards, are merged into one order."""
    mine, theirs = open_jobs(ingest, "mine", 1, 3, 5), open_jobs(ingest, "theirs", 2, 4)
    expected = [mine[0], theirs[0], mine[1], theirs[1], mine[2]]
    assert [item["job"] for item in store.jobs(("mine", "theirs"), None, 2)] == expected
    assert [item["job"] for item in store.jobs(None, None, 2)] == expected
    assert [item["job"] for item in store.jobs(("theirs",), None, 2)] == theirs


def test_list_continues_where_it_stopped(store: Store, ingest: IngestStore) -> None:
    """Pages neither repeat nor omit a job."""
    jobs = open_jobs(ingest, "mine", *range(7))
    place, seen = None, []
    while page := list(islice(store.jobs(("mine",), place, 3), 3)):
        seen += [item["job"] for item in page]
        place = page[-1]["gsk"]
    assert seen == jobs


@pytest.mark.parametrize(
    ("after", "firsts"),
    [(0, [1, 4, 7]), (1, [1, 4, 7]), (2, [1, 4, 7]), (3, [4, 7]), (6, [7]), (8, [7]), (9, []), (99, [])],
)
def test_batches_after_a_sequence_include_the_one_that_holds_it(
    store: Store, ingest: IngestStore, after: int, firsts: list[int]
) -> None:
    """A reader may be in the middle of a batch."""
    for first in (1, 4, 7):
        ingest.put_batch(JOB, batch(first), NOW_MS)
    assert [item["first"] for item in store.batches_after(JOB, after)] == firsts


@pytest.mark.parametrize(
    ("before", "firsts"), [(1, []), (2, [1]), (4, [1]), (5, [4, 1]), (8, [7, 4, 1]), (99, [7, 4, 1])]
)
def test_batches_before_a_sequence_come_backwards(
    store: Store, ingest: IngestStore, before: int, firsts: list[int]
) -> None:
    """The nearest comes first, as a reader scrolls up."""
    for first in (1, 4, 7):
        ingest.put_batch(JOB, batch(first), NOW_MS)
    assert [item["first"] for item in store.batches_before(JOB, before)] == firsts


def test_history_is_read_over_several_pages(store: Store, ingest: IngestStore) -> None:
    """A DynamoDB query ends at fifty items here; a job does not."""
    for first in range(1, 121):
        ingest.put_batch(JOB, batch(first, ("x",)), NOW_MS)
    assert [item["first"] for item in store.batches_after(JOB, 0)] == list(range(1, 121))
    assert store.tip(JOB) == 120


def test_newest_batch_comes_without_its_body(store: Store, ingest: IngestStore) -> None:
    """Its end and time, by sequence, for this job only, ignoring tombstones."""
    assert store.newest(JOB) is None
    for first in (1, 9, 10):
        ingest.put_batch(JOB, batch(first, ("x", "y")), NOW_MS + first)
    ingest.put_batch("web." + "d" * 64, batch(99), NOW_MS)
    for consistent in (True, False):
        found = store.newest(JOB, consistent=consistent)
        assert found == {"first": 10, "count": 2, "end": NOW_MS * 1000 + 1, "received": NOW_MS + 10}
    store.put_tombstone(JOB, 11, NOW_MS)
    assert store.newest(JOB) is None


def test_instances_are_known_by_last_heard_time(store: Store, ingest: IngestStore) -> None:
    """Instances never heard of are omitted."""
    ingest.record_heartbeat("web", "ENGINE", NOW_MS)
    assert store.last_heard([("web", "ENGINE"), ("web", "OTHER")]) == {("web", "ENGINE"): NOW_MS}
