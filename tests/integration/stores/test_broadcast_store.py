"""Test broadcast's store on every DynamoDB."""

import pytest
from tests.support.batches import NOW_MS
from tests.support.clouds import Tables

from broadcast.store import Store
from connect.store import Store as ConnectStore
from registry import items
from registry.principal import Principal

JOB = "web." + "c" * 64
ME = Principal("viewer", "me", "cred00000000", subject="me")
LATER = NOW_MS // 1000 + 3600


@pytest.fixture
def store(tables: Tables) -> Store:
    return Store(tables.dynamodb, tables.registry)


@pytest.fixture
def connect(tables: Tables) -> ConnectStore:
    return ConnectStore(tables.dynamodb, tables.registry, tables.log)


def put(tables: Tables, pk: str, sk: str, **attributes: object) -> None:
    item = {**items.key(pk, sk), **items.to_item(attributes)}
    tables.dynamodb.put_item(TableName=tables.registry, Item=item)


def test_subscribers_are_listed_with_expiry_and_credential(store: Store, connect: ConnectStore) -> None:
    """Both travel with the subscription because every send checks them."""
    connect.put_subscription(JOB, "one", ME, LATER, NOW_MS)
    (subscriber,) = store.subscribers(f"JOB#{JOB}")
    assert (subscriber.connection, subscriber.expires, subscriber.credential) == ("one", LATER, "cred00000000")


def test_many_subscribers_are_read_over_several_pages(store: Store, tables: Tables) -> None:
    """A DynamoDB page holds a megabyte, and a job may have more subscribers."""
    for index in range(30):
        pad = "x" * 50_000
        put(tables, f"JOB#{JOB}", f"SUBSCRIPTION#{index:02d}", connection=f"{index:02d}", created=1, pad=pad)
    assert [one.connection for one in store.subscribers(f"JOB#{JOB}")] == [f"{index:02d}" for index in range(30)]


def test_newer_subscription_survives_removal_of_an_older_one(store: Store, connect: ConnectStore) -> None:
    """A late 410 removes only the subscription that it concerns."""
    connect.put_subscription(JOB, "one", ME, LATER, NOW_MS)
    (old,) = store.subscribers(f"JOB#{JOB}")
    connect.put_subscription(JOB, "one", ME, LATER, NOW_MS + 1)
    store.remove_subscriber(old)
    store.mark_lagging(old, NOW_MS + 99)
    (new,) = store.subscribers(f"JOB#{JOB}")
    assert (new.created, new.lagging) == (NOW_MS + 1, 0)
    store.mark_lagging(new, NOW_MS + 99)
    assert [one.lagging for one in store.subscribers(f"JOB#{JOB}")] == [NOW_MS + 99]
    store.remove_subscriber(new)
    assert list(store.subscribers(f"JOB#{JOB}")) == []


def test_revoked_or_deleted_credential_ends_its_connections(store: Store, tables: Tables) -> None:
    """Revoked, deleted, or of a revoked principal: what it opened ends."""
    put(tables, "PRINCIPAL#me", "PRINCIPAL", name="me")
    put(tables, "CREDENTIAL#good", "CREDENTIAL", principal="me")
    put(tables, "CREDENTIAL#bad", "CREDENTIAL", principal="me", revoked=NOW_MS)
    assert store.credential_revoked("good") is False
    assert store.credential_revoked("bad") is True
    assert store.credential_revoked("unknown") is True
    put(tables, "PRINCIPAL#me", "PRINCIPAL", name="me", revoked=NOW_MS)
    assert store.credential_revoked("good") is True


def test_connections_are_found_by_credential(store: Store, connect: ConnectStore, tables: Tables) -> None:
    """Revoking a key closes only what it opened."""
    other = Principal("viewer", "me", "cred11111111", subject="me")
    connect.put_connection("one", ME, LATER, NOW_MS)
    connect.put_connection("two", other, LATER, NOW_MS)
    connect.put_subscription(JOB, "one", ME, LATER, NOW_MS)
    (found,) = store.connections_of("CREDENTIAL#cred00000000")
    assert (found["pk"], found["kind"]) == ("CONNECTION#one", "viewer")
    store.remove_connection("one")
    assert list(store.subscribers(f"JOB#{JOB}")) == []
    assert len(store.connections_of("CREDENTIAL#cred11111111")) == 1
    put(tables, "CREDENTIAL#c", "CREDENTIAL", gpk="PRINCIPAL#me", gsk="CREDENTIAL#0#c")
    assert store.openers_of("me") == ["PRINCIPAL#me", "CREDENTIAL#c"]
