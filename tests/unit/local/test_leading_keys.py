"""Test which partition keys a DynamoDB request names, as the emulator's IAM is told."""

from __future__ import annotations

from typing import Any

import pytest

from logferry_local.leading_keys import leading_keys

KEY = {"pk": {"S": "JOB#a"}, "sk": {"S": "JOB"}}
INDEXED = {"gpk": {"S": "OWNER#a"}}


def hash_key(table: str, index: str | None) -> str | None:
    """Return the partition keys of the template's tables."""
    if table not in {"registry", "log"}:
        return None
    return "gpk" if index == "by_target" else {"registry": "pk", "log": "job"}[table]


def query(expression: str, *, index: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a Query of the registry."""
    values = {":pk": {"S": "JOB#a"}, ":pk2": {"S": "JOB#b"}}
    named = {"IndexName": index} if index else {}
    return {
        "TableName": "registry",
        "KeyConditionExpression": expression,
        "ExpressionAttributeValues": values,
        **named,
        **more,
    }


@pytest.mark.parametrize(
    ("operation", "body", "keys"),
    [
        ("GetItem", {"TableName": "registry", "Key": KEY}, ["JOB#a"]),
        ("UpdateItem", {"TableName": "registry", "Key": KEY}, ["JOB#a"]),
        ("DeleteItem", {"TableName": "registry", "Key": KEY}, ["JOB#a"]),
        ("PutItem", {"TableName": "registry", "Item": {**KEY, **INDEXED}}, ["JOB#a"]),
        ("PutItem", {"TableName": "log", "Item": {"job": {"S": "a"}, "first": {"N": "1"}}}, ["a"]),
        ("Query", query("pk = :pk AND begins_with(sk, :sk)"), ["JOB#a"]),
        ("Query", query("begins_with(sk, :sk) AND pk=:pk2"), ["JOB#b"]),
        ("Query", query("#p = :pk", ExpressionAttributeNames={"#p": "pk"}), ["JOB#a"]),
        ("Query", query("gpk = :pk", index="by_target"), ["JOB#a"]),
        (
            "Query",
            {"TableName": "registry", "KeyConditions": {"pk": {"AttributeValueList": [{"S": "JOB#a"}]}}},
            ["JOB#a"],
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"registry": [{"DeleteRequest": {"Key": KEY}}, {"PutRequest": {"Item": KEY}}]}},
            ["JOB#a", "JOB#a"],
        ),
        ("BatchGetItem", {"RequestItems": {"registry": {"Keys": [KEY]}}}, ["JOB#a"]),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "registry", "Item": KEY}},
                    {"Update": {"TableName": "log", "Key": {"job": {"S": "b"}}}},
                ]
            },
            ["JOB#a", "b"],
        ),
        ("Scan", {"TableName": "registry"}, None),
        ("Query", query("gpk = :pk"), None),
        ("Query", query("mypk = :pk"), None),
        ("DescribeTable", {"TableName": "registry"}, None),
    ],
)
def test_keys_of_a_request_are_found(operation: str, body: dict[str, Any], keys: list[str] | None) -> None:
    """A Scan names none, so `ForAllValues` lets it pass, as on AWS."""
    assert leading_keys(operation, body, hash_key) == keys
