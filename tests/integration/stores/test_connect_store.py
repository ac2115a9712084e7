"""Test connect's store on every DynamoDB."""

import pytest
from tests.support.batches import NOW_MS, batch
from tests.support.clouds import Tables

from connect.store import Store
from ingest.store import Store as IngestStore
from registry import items
from registry.principal import Principal

JOB = "web." + "c" * 64
ME = Principal("viewer", "me", "cred00000000", subject="me", groups=("team",))
LATER = NOW_MS // 1000 + 3600


@pytest.fixture
def store(tables: Tables) -> Store:
    return Store(tables.dynamodb, tables.registry, tables.log)


def items_of(tables: Tables) -> list[str]:
    found = tables.dynamodb.scan(TableName=tables.registry)["Items"]
    return sorted(f"{item['pk']['S']}/{item['sk']['S']}" for item in found)


def test_ticket_is_used_once(store: Store, tables: Tables) -> None:
    """Of two connections with one ticket, one is opened."""
    item = {**items.ticket_key("hash"), **items.to_item({"until": NOW_MS, "who": "{}"})}
    tables.dynamodb.put_item(TableName=tables.registry, Item=item)
    taken = store.redeem_ticket("hash")
    assert taken is not None
    assert taken["until"] == NOW_MS
    assert store.redeem_ticket("hash") is None


def test_disconnect_removes_all_items_of_a_connection(store: Store, tables: Tables) -> None:
    """Connection, subscriptions, lists and the instance's link go together; other connections' items stay."""
    ingest = IngestStore(tables.dynamodb, tables.log, tables.registry, 30)
    for connection in ("gone", "here"):
        store.put_connection(connection, ME, LATER, NOW_MS)
        store.put_subscription(JOB, connection, ME, LATER, NOW_MS)
        store.put_list("team", connection, ME, {"name": "web"}, expires=LATER, now_ms=NOW_MS)
        ingest.link_instance("web", "ENGINE", connection, LATER, NOW_MS)
    store.remove_connection("gone")
    assert not [key for key in items_of(tables) if "gone" in key]
    assert len([key for key in items_of(tables) if "here" in key]) == 4
    assert store.instance_connections("web", "ENGINE") == ["here"]


def test_subscriptions_are_found_by_job_and_by_connection(store: Store) -> None:
    """Broadcast looks up by job, ping by connection."""
    store.put_subscription(JOB, "one", ME, LATER, NOW_MS)
    store.put_subscription(JOB, "two", ME, LATER, NOW_MS)
    assert store.count_viewers(JOB) == 2
    assert store.subscribed_jobs("one") == [JOB]
    store.remove_subscription(JOB, "one")
    assert store.count_viewers(JOB) == 1
    assert store.subscribed_jobs("one") == []


def test_ending_a_list_keeps_job_subscriptions(store: Store) -> None:
    """`unsubscribe` without a job ends the list only."""
    store.put_subscription(JOB, "one", ME, LATER, NOW_MS)
    store.put_list("team", "one", ME, {}, expires=LATER, now_ms=NOW_MS)
    store.remove_lists("one")
    assert store.subscribed_jobs("one") == [JOB]


def test_tip_is_the_end_of_the_last_batch(store: Store, tables: Tables) -> None:
    """First sequence plus count of the last stored batch; none when nothing is stored."""
    assert store.tip(JOB) is None
    ingest = IngestStore(tables.dynamodb, tables.log, tables.registry, 30)
    ingest.put_batch(JOB, batch(1), NOW_MS)
    ingest.put_batch(JOB, batch(4), NOW_MS)
    assert store.tip(JOB) == 6


def test_only_one_concurrent_watch_wins(store: Store) -> None:
    """Whoever extends the watch tells the agent; the others need not."""
    assert store.extend_watch(JOB, NOW_MS + 150, NOW_MS + 75, 0) is True
    assert store.extend_watch(JOB, NOW_MS + 151, NOW_MS + 76, 0) is False
    # When it expires, the next one renews it.
    assert store.extend_watch(JOB, NOW_MS + 300, NOW_MS + 225, 0) is True
