"""Test how a change set is shown, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from logferry_cli.deploy.change_set import changes_of, describe, refusals, summary


def change(
    resource: str, kind: str, action: str, replacement: str = "False", *details: tuple[str, str, str]
) -> dict[str, Any]:
    """Return a change as DescribeChangeSet has it; `details` are property, recreation and evaluation."""
    return {
        "Type": "Resource",
        "ResourceChange": {
            "LogicalResourceId": resource,
            "ResourceType": kind,
            "Action": action,
            **({"Replacement": replacement} if action == "Modify" else {}),
            "Details": [
                {
                    "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation},
                    "Evaluation": evaluation,
                }
                for name, recreation, evaluation in details
            ],
        },
    }


TABLE, BUCKET = "AWS::DynamoDB::Table", "AWS::S3::Bucket"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            change("LogTable", TABLE, "Modify", "True", ("KeySchema", "Always", "Static")),
            "LogTable (AWS::DynamoDB::Table) would be replaced by a change of KeySchema.",
        ),
        (
            change("ViewerBucket", BUCKET, "Modify", "True", ("BucketName", "Always", "Static")),
            "ViewerBucket (AWS::S3::Bucket) would be replaced by a change of BucketName.",
        ),
        (
            change("LogTable", TABLE, "Modify", "Conditional", ("TableName", "Conditionally", "Dynamic")),
            "LogTable (AWS::DynamoDB::Table) would be replaced by a change of TableName.",
        ),
        (change("ArchiveBucket", BUCKET, "Remove"), "ArchiveBucket (AWS::S3::Bucket) would be removed."),
    ],
)
def test_replacing_or_removing_data_is_refused(one: dict[str, Any], words: str) -> None:
    assert refusals(changes_of([one])) == [words]


@pytest.mark.parametrize(
    "one",
    [
        change("LogTable", TABLE, "Add"),
        change("RegistryTable", TABLE, "Modify", "False", ("GlobalSecondaryIndexes", "Never", "Static")),
        change("RegistryTable", TABLE, "Modify", "Conditional", ("AttributeDefinitions", "Conditionally", "Static")),
        change("OldBucket", BUCKET, "Remove"),
        change("Query", "AWS::Lambda::Function", "Modify", "True", ("FunctionName", "Always", "Static")),
    ],
)
def test_other_changes_are_allowed(one: dict[str, Any]) -> None:
    """A new index is how a release changes a table; what holds no stored data may go."""
    assert refusals(changes_of([one])) == []


def test_removals_come_first_and_additions_are_counted() -> None:
    found = changes_of(
        [
            change("A", "AWS::Lambda::Function", "Add"),
            change("B", "AWS::Lambda::Function", "Add"),
            change("C", "AWS::Lambda::Function", "Modify", "False", ("Code", "Never", "Static")),
            change("D", "AWS::ApiGatewayV2::Route", "Modify", "Conditional", ("Target", "Conditionally", "Dynamic")),
            change("E", "AWS::Events::Rule", "Modify", "True", ("Name", "Always", "Static")),
            change("F", "AWS::Events::Rule", "Remove"),
        ]
    )
    assert list(describe(found)) == [
        "  remove   F (AWS::Events::Rule)",
        "  replace  E (AWS::Events::Rule): Name",
        "  change   C (AWS::Lambda::Function): Code",
        "  add      2 × AWS::Lambda::Function",
        "  1 others may change with what they refer to",
    ]
    assert summary(found) == "2 added, 1 changed, 1 replaced, 1 removed, 1 perhaps changed"


def test_long_lists_are_cut() -> None:
    many = changes_of([change(f"F{n}", "AWS::Lambda::Function", "Remove") for n in range(5)])
    assert list(describe(many, at_most=3))[-1] == "  … and 2 more"
    assert summary([]) == "nothing"


def test_what_is_no_resource_is_passed_over() -> None:
    assert changes_of([{"Type": "Hook"}]) == []
