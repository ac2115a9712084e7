"""Test the template's registry permissions: each function has its own keys, and none may write credentials."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import cloud as support
from tests.support.permissions import NotPermittedError, RestrictedClient, grants
from tests.support.tables import logferry_tables

from registry import items

FUNCTIONS = ("Connect", "Ingest", "Broadcast", "Query", "Archive")
WRITES = ("PutItem", "UpdateItem", "DeleteItem")
NAMES = {"registry": "RegistryTable", "log": "LogTable"}
KEYED = {"GetItem", *WRITES, "Query"}
"""Actions that always name a partition. For Scan, `ForAllValues` is true whatever it lists."""

WRITTEN_BY = {
    "PRINCIPAL#web": set(),
    "CREDENTIAL#agentkey0000": set(),
    "ROLE#arn:aws:iam::123456789012:role/Fleet": set(),
    "ROLEID#arn:aws:iam::123456789012:role/Fleet": {"Connect"},
    "GRANT#abcdefghijkl": {"Query"},
    "AUDIT#web.c": {"Query"},
    "TICKET#digest": {"Connect", "Query"},
    "CONNECTION#c": {"Connect", "Broadcast"},
    "USAGE#web": {"Ingest"},
    "ARCHIVE#web.c": {"Archive"},
    "SWEEP": {"Archive"},
    "INSTANCE#web.ENGINE": {"Connect", "Ingest", "Broadcast"},
    "LIST#team": {"Connect", "Broadcast"},
    "JOB#web.c": set(FUNCTIONS),
}  # fmt: skip
"""Functions that may put, change or delete items of a partition."""


def allowed(function: str, action: str, key: str, resource: str = "RegistryTable") -> bool:
    return any(grant.allows(action, resource, [key]) for grant in grants()[function])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_reaches_the_registry_by_keys_only(function: str) -> None:
    """Every permission names its partitions, and none is for an action without one."""
    found = [grant for grant in grants()[function] if grant.resource.startswith("RegistryTable")]
    assert found
    for grant in found:
        assert grant.keys, grant
        assert grant.action in KEYED, grant
        assert all(key.rstrip("*").strip("#").isupper() for key in grant.keys), grant


@pytest.mark.parametrize(("key", "writers"), WRITTEN_BY.items(), ids=list(WRITTEN_BY))
def test_partition_is_written_by_its_functions_only(key: str, writers: set[str]) -> None:
    """Operators decide who is admitted: no function may write a principal, a key or a mapping."""
    assert {one for one in FUNCTIONS if any(allowed(one, action, key) for action in WRITES)} == writers


@pytest.mark.parametrize("function", ["Ingest", "Archive"])
@pytest.mark.parametrize("key", ["CREDENTIAL#agentkey0000", "TICKET#digest", "GRANT#abcdefghijkl", "PRINCIPAL#web"])
def test_function_that_admits_nobody_reads_no_secret(function: str, key: str) -> None:
    """Not even its hash."""
    assert not allowed(function, "GetItem", key)
    assert not allowed(function, "Query", key)


def test_functions_client_refuses_what_its_role_does_not_allow() -> None:
    """All functions' tests run on such clients."""
    tables = logferry_tables()
    ingest, connect = (RestrictedClient(tables, name, NAMES) for name in ("Ingest", "Connect"))
    credential = {**items.credential_key("agentkey0000"), **items.to_item({"kind": "agent"})}
    for client in (ingest, connect):
        with pytest.raises(NotPermittedError):
            client.put_item(TableName="registry", Item=credential)
    with pytest.raises(NotPermittedError):
        ingest.scan(TableName="registry")
    condition: dict[str, Any] = {"KeyConditionExpression": "gpk = :gpk", "IndexName": items.TARGET_INDEX}
    with pytest.raises(NotPermittedError):
        connect.query(TableName="registry", ExpressionAttributeValues={":gpk": {"S": "PRINCIPALS"}}, **condition)
    assert connect.query(
        TableName="registry", ExpressionAttributeValues={":gpk": {"S": "CONNECTION#c"}}, **condition
    )["Items"] == []  # fmt: skip


def test_binding_of_a_role_is_within_connects_permissions() -> None:
    """In its own partition, beside the mapping."""
    cloud = support.cloud_in_memory()
    arn = "arn:aws:iam::123456789012:role/Fleet"
    assert cloud.connect_store.bind_role(arn, 5, "AROAFIRST", 7) == "AROAFIRST"
    assert cloud.connect_store.bind_role(arn, 5, "AROASECOND", 8) == "AROAFIRST"
    cloud.executor.shutdown()
