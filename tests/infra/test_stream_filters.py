"""Test which records of the tables' streams reach broadcast, by AWS's documented rules for filters."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import stream_filters
from tests.support.stream_filters import UndocumentedPatternError, matches, passes
from tests.support.templates import Document

BATCH = {"job": {"S": "web.c"}, "first": {"N": "1"}, "count": {"N": "1"}, "body": {"B": "AA=="}}
TOMBSTONE = {"job": {"S": "web.c"}, "first": {"N": "2"}, "count": {"N": "0"}, "deleted": {"N": "5"}}
SERVED = ("JOB", "CREDENTIAL", "PRINCIPAL", "GRANT", "ROLE")
OTHERS = ("CONNECTION", "SUBSCRIPTION#a", "UNARCHIVED", "TICKET", "USAGE#2026-11-30", "0001")


def record(event: str, keys: dict[str, Any], image: dict[str, Any] | None) -> dict[str, Any]:
    return {"eventName": event, "dynamodb": {"Keys": keys, **({"NewImage": image} if image else {})}}


def log_record(event: str, image: dict[str, Any], *, kept: bool = True) -> dict[str, Any]:
    return record(event, {name: image[name] for name in ("job", "first")}, image if kept else None)


def registry_record(event: str, sort_key: str, *, kept: bool = True) -> dict[str, Any]:
    keys = {"pk": {"S": f"{sort_key}#x"}, "sk": {"S": sort_key}}
    return record(event, keys, {**keys, "owner": {"S": "web"}} if kept else None)


@pytest.mark.parametrize("mapping", ["BroadcastBatches", "BroadcastRegistry"])
def test_filter_uses_only_what_aws_documents(mapping: str) -> None:
    """DynamoDB mappings filter on the key `dynamodb` alone. What another key does is not said."""
    for pattern in stream_filters.patterns(mapping):
        assert set(pattern) == {"dynamodb"}
        passes(mapping, record("INSERT", {}, {}))


def test_only_a_batch_passes_the_log_tables_filter() -> None:
    """Not a deletion, by time to live or by the archive, and not the tombstone of a deleted job."""
    assert passes("BroadcastBatches", log_record("INSERT", BATCH))
    assert not passes("BroadcastBatches", log_record("REMOVE", BATCH, kept=False))
    assert not passes("BroadcastBatches", log_record("INSERT", TOMBSTONE))


@pytest.mark.parametrize("sort_key", SERVED)
def test_new_or_changed_item_passes_the_registrys_filter(sort_key: str) -> None:
    """A removal does not."""
    for event in ("INSERT", "MODIFY"):
        assert passes("BroadcastRegistry", registry_record(event, sort_key))
    assert not passes("BroadcastRegistry", registry_record("REMOVE", sort_key, kept=False))


@pytest.mark.parametrize("sort_key", OTHERS)
def test_other_items_of_the_registry_do_not_pass(sort_key: str) -> None:
    """Connections and subscriptions change all the time, and a call costs money."""
    assert not passes("BroadcastRegistry", registry_record("INSERT", sort_key))


@pytest.mark.parametrize(
    "pattern",
    [
        {"eventName": ["INSERT"]},
        {"dynamodb": {"NewImage": {"body": [{"exists": True}]}}},
        {"dynamodb": {"NewImage": {"first": {"N": [{"numeric": [">", 0]}]}}}},
    ],
)
def test_undocumented_pattern_is_refused(pattern: dict[str, Any]) -> None:
    """The check itself: it must not take what it does not know for a match."""
    with pytest.raises(UndocumentedPatternError):
        matches(pattern, log_record("INSERT", BATCH))


def test_default_parallelism_leaves_concurrency_to_ingest_and_the_authorizers(template: Document) -> None:
    """A new account may have a concurrency of 10 for all functions together.

    A new on-demand table has four partitions, and its stream four shards.
    """
    parameter = template["Parameters"]["StreamParallelism"]
    assert parameter["Default"] <= 2
    assert (parameter["MinValue"], parameter["MaxValue"]) == (1, 10)
