"""Test that what a stack leaves behind is removed whole, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.support.clouds import REGION, SECRETS, table_definitions

from logferry_cli.deploy import removal
from logferry_cli.deploy.account import Account
from logferry_cli.deploy.adoption import KeptData


@pytest.fixture
def account() -> Iterator[Account]:
    with mock_aws():
        yield Account(boto3.Session(**SECRETS), None, REGION, "123456789012", "arn:aws:iam::123456789012:root", "aws")


def make_bucket(account: Account, name: str, *, versioned: bool = False) -> Any:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return s3


def test_all_versions_with_the_prefix_go_and_others_stay(account: Account) -> None:
    """The SAM CLI's bucket keeps versions, and other applications' files lie in it."""
    s3 = make_bucket(account, "sam", versioned=True)
    for key in ("logferry/logs/a", "logferry/logs/a", "logferry/logs-2/b", "other"):
        s3.put_object(Bucket="sam", Key=key, Body=b"x")
    s3.delete_object(Bucket="sam", Key="logferry/logs/a")
    assert removal.empty_bucket(s3, "sam", "logferry/logs/") == 3
    left = s3.list_object_versions(Bucket="sam")
    assert [one["Key"] for one in left["Versions"]] == ["logferry/logs-2/b", "other"]
    assert "DeleteMarkers" not in left


def test_more_objects_than_one_request_deletes(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "DELETE_AT_ONCE", 3)
    s3 = make_bucket(account, "many")
    for number in range(7):
        s3.put_object(Bucket="many", Key=str(number), Body=b"")
    removal.delete_bucket(s3, "many")
    assert s3.list_buckets()["Buckets"] == []


def test_data_is_deleted_and_a_repetition_is_no_problem(account: Account) -> None:
    make_bucket(account, "archive").put_object(Bucket="archive", Key="segments/1", Body=b"x")
    dynamodb = account.client("dynamodb")
    for name in ("LogTable", "RegistryTable"):
        dynamodb.create_table(TableName=name, **table_definitions()[name])
    for _ in range(2):
        removal.delete_data(account, KeptData("LogTable", "RegistryTable", "archive"))
    assert dynamodb.list_tables()["TableNames"] == []
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_log_groups_that_were_made_again_are_deleted(account: Account) -> None:
    logs = account.client("logs")
    for name in ("stack-QueryLog", "/aws/lambda/stack-Query", "/aws/lambda/other"):
        logs.create_log_group(logGroupName=name)
    resources = [
        {"ResourceType": "AWS::Logs::LogGroup", "PhysicalResourceId": "stack-QueryLog"},
        {"ResourceType": "AWS::Logs::LogGroup", "PhysicalResourceId": "stack-gone"},
        {"ResourceType": "AWS::Lambda::Function", "PhysicalResourceId": "stack-Query"},
        {"ResourceType": "AWS::IAM::Role", "PhysicalResourceId": "other"},
        {"ResourceType": "AWS::Lambda::Function"},  # a failed creation never made it
        {"ResourceType": "AWS::Logs::LogGroup", "PhysicalResourceId": ""},
    ]
    assert removal.delete_log_groups(account, removal.log_groups_of(resources)) == 2
    assert [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]] == ["/aws/lambda/other"]
