"""Test that kept data is prepared for a new stack, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.support.clouds import REGION, SECRETS, table_definitions

from logferry_cli.deploy import kept_data
from logferry_cli.deploy.account import Account
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.problems import Problem

KEPT = KeptData("LogTable", "RegistryTable", "archive")


@pytest.fixture
def account() -> Iterator[Account]:
    with mock_aws():
        yield Account(boto3.Session(**SECRETS), None, REGION, "123456789012", "arn:aws:iam::123456789012:root", "aws")


def make_bucket(account: Account, region: str = REGION) -> Any:
    s3: Any = account.session.client("s3", region_name=region)
    s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": region})
    return s3


def test_bucket_of_another_region_is_not_adopted(account: Account) -> None:
    """A stack of the same name there may use it."""
    for name in ("LogTable", "RegistryTable"):
        account.client("dynamodb").create_table(TableName=name, **table_definitions()[name])
    make_bucket(account, "ap-southeast-2")
    with pytest.raises(Problem, match=f"archive is in ap-southeast-2, not in {REGION}"):
        kept_data.adoption_parameters(account, KEPT)


def test_other_rules_of_an_adopted_archive_stay(account: Account) -> None:
    """Somebody may move old segments to a cheaper class."""
    s3 = make_bucket(account)
    rule = {"ID": "cheaper", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}}
    s3.put_bucket_lifecycle_configuration(Bucket="archive", LifecycleConfiguration={"Rules": [rule]})

    def rules() -> dict[str, int]:
        found = s3.get_bucket_lifecycle_configuration(Bucket="archive")["Rules"]
        return {one["ID"]: one["Expiration"]["Days"] for one in found}

    for days, expected in ((0, {}), (7, {"forget": 7}), (30, {"forget": 30}), (0, {})):
        kept_data.set_archive_retention(account, "archive", days)
        assert rules() == {"cheaper": 9, **expected}


def test_archive_without_rules_gets_and_loses_the_templates_own(account: Account) -> None:
    s3 = make_bucket(account)
    for days in (0, 7):
        kept_data.set_archive_retention(account, "archive", days)
    assert len(s3.get_bucket_lifecycle_configuration(Bucket="archive")["Rules"]) == 1
    kept_data.set_archive_retention(account, "archive", 0)
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="archive")
