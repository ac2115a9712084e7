"""Find the tables and the bucket that a deleted stack kept, and prepare them for a new one."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli.deploy import adoption
from logferry_cli.deploy.account import Account
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.answers import Answers
from logferry_cli.deploy.formation import Formation, refusals_explained
from logferry_cli.deploy.template import Values
from logferry_cli.problems import Problem

RETENTION_RULE: Final = "forget"
"""The id of the template's rule in the archive's life cycle."""


def find_kept_data(account: Account, formation: Formation, answers: Answers, given: Values) -> KeptData:
    """Return what an earlier stack of this name kept.

    It is what parameters name, else what `logferry destroy` noted here, else what CloudFormation remembers of the
    deleted stack, else what is named as CloudFormation names resources of this stack.

    Raises:
        Problem: Nothing is found, or several.
    """
    found = adoption.of_parameters(given) or answers.kept or formation.kept_by_deleted() or _by_name(account, formation)
    if found is None:
        raise Problem(
            f"No data of an earlier stack {formation.stack} is found in {account.region}.",
            "Deploy without --adopt for new tables, or name the data with --parameter ExistingLogTable=…, "
            "ExistingRegistryTable=… and ExistingArchiveBucket=….",
        )
    return found


def adoption_parameters(account: Account, kept: KeptData) -> dict[str, str]:
    """Return the template's parameters for kept data, after a look at it.

    Raises:
        Problem: A table or the bucket is not there, or is not one of Logferry's.
    """
    dynamodb, s3 = account.client("dynamodb"), account.client("s3")
    described = []
    for name in (kept.log_table, kept.registry_table):
        with refusals_explained(f"describe the table {name}"):
            try:
                described.append(dynamodb.describe_table(TableName=name)["Table"])
            except dynamodb.exceptions.ResourceNotFoundException:
                raise Problem(f"The table {name} is not in {account.region}.", "Name another one.") from None
    try:
        headers = s3.head_bucket(Bucket=kept.archive_bucket)["ResponseMetadata"]["HTTPHeaders"]
    except (ClientError, BotoCoreError) as error:
        raise Problem(f"The bucket {kept.archive_bucket} cannot be used ({error}).", "Name another one.") from None
    # Buckets' names are global, so one that a stack of this name has in another region is found as well.
    if (region := headers.get("x-amz-bucket-region", account.region)) != account.region:
        raise Problem(
            f"The bucket {kept.archive_bucket} is in {region}, not in {account.region}.",
            "Name the archive of this region with --parameter ExistingArchiveBucket=….",
        )
    return adoption.parameters_of(kept, *described)


def set_archive_retention(account: Account, bucket: str, days: int) -> None:
    """Give a bucket that no stack owns the rule that the template would give it. Other rules stay."""
    s3 = account.client("s3")
    rule = {"ID": RETENTION_RULE, "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": days}}
    with refusals_explained(f"set the life cycle of the bucket {bucket}"):
        before = _lifecycle_rules(s3, bucket)
        others = [one for one in before if one.get("ID") != RETENTION_RULE]
        if wanted := [*others, rule] if days else others:
            if wanted != before:
                s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": wanted})
        elif before:
            s3.delete_bucket_lifecycle(Bucket=bucket)


def _lifecycle_rules(s3: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        return list(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return []
        raise


def _by_name(account: Account, formation: Formation) -> KeptData | None:
    with refusals_explained("list tables and buckets"):
        pages = account.client("dynamodb").get_paginator("list_tables").paginate()
        tables = [name for page in pages for name in page["TableNames"]]
        buckets = [one["Name"] for one in account.client("s3").list_buckets().get("Buckets", ())]
    return adoption.of_names(formation.stack, tables, buckets)
