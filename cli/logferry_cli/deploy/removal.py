"""Remove what a deleted stack leaves behind: objects in buckets, log groups, uploaded code, and kept data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli.deploy.account import Account
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.formation import RIGHTS, refusals_explained
from logferry_cli.deploy.sam import artifact_prefix
from logferry_cli.problems import Problem

SAM_STACK: Final = "aws-sam-cli-managed-default"
"""The stack of the bucket that `sam deploy --resolve-s3` uploads to. All of an account's SAM applications share it."""
DELETE_AT_ONCE: Final = 1000
"""S3 deletes at most so many objects in one request."""


def empty_bucket(s3: Any, bucket: str, prefix: str = "") -> int:
    """Delete all objects of a bucket with a prefix, in all versions. Return how many; 0 when there is no bucket."""
    count = 0
    with refusals_explained(f"empty the bucket {bucket}"):
        try:
            while batch := _first_versions(s3, bucket, prefix):
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise Problem(f"The bucket {bucket} cannot be emptied ({errors[0]['Message']}).", RIGHTS)
                count += len(batch)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchBucket", "404"):
                raise
    return count


def _first_versions(s3: Any, bucket: str, prefix: str) -> list[dict[str, str]]:
    """Return as many of the bucket's objects as one request deletes."""
    page = s3.list_object_versions(Bucket=bucket, Prefix=prefix, MaxKeys=DELETE_AT_ONCE)
    found = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    return [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]


def delete_bucket(s3: Any, bucket: str) -> None:
    """Empty a bucket and delete it. One that is gone is no problem."""
    empty_bucket(s3, bucket)
    with refusals_explained(f"delete the bucket {bucket}"):
        try:
            s3.delete_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchBucket", "404"):
                raise


def delete_data(account: Account, kept: KeptData) -> None:
    """Delete tables and archive. What is gone is no problem, so that the command can be repeated."""
    dynamodb = account.client("dynamodb")
    for name in (kept.log_table, kept.registry_table):
        with refusals_explained(f"delete the table {name}"):
            try:
                dynamodb.delete_table(TableName=name)
            except dynamodb.exceptions.ResourceNotFoundException:
                continue
    delete_bucket(account.client("s3"), kept.archive_bucket)


def log_groups_of(resources: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of the log groups that may outlive a stack with these resources.

    A function that was still running may have made its group again, and Lambda made groups of its own for releases
    that named none.
    """
    return tuple(
        one["PhysicalResourceId"]
        if one["ResourceType"] == "AWS::Logs::LogGroup"
        else f"/aws/lambda/{one['PhysicalResourceId']}"
        for one in resources
        # What a failed creation never made, or rolled back, has no physical id.
        if one["ResourceType"] in ("AWS::Logs::LogGroup", "AWS::Lambda::Function") and one.get("PhysicalResourceId")
    )


def delete_log_groups(account: Account, names: Iterable[str]) -> int:
    """Delete log groups that outlived a stack. Return how many; one that is gone is no problem."""
    logs, count = account.client("logs"), 0
    for name in names:
        with refusals_explained(f"delete the log group {name}"):
            try:
                logs.delete_log_group(logGroupName=name)
                count += 1
            except logs.exceptions.ResourceNotFoundException:
                continue
    return count


def delete_uploads(account: Account, stack: str) -> tuple[str | None, int]:
    """Delete the code that was uploaded for this stack. Return the SAM CLI's bucket, and how many files they were."""
    formation = account.client("cloudformation")
    try:
        outputs = formation.describe_stacks(StackName=SAM_STACK)["Stacks"][0].get("Outputs", ())
    except (ClientError, BotoCoreError):
        return None, 0
    bucket = next((one["OutputValue"] for one in outputs if one["OutputKey"] == "SourceBucket"), None)
    if bucket is None:
        return None, 0
    return bucket, empty_bucket(account.client("s3"), bucket, f"{artifact_prefix(stack)}/")
