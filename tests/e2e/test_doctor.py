"""Test `logferry doctor --deep` and `verify` on the deployed template."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from tests.e2e.conftest import Cloud

from registry import items

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


def test_deep_check_passes_and_cleans_up(cloud: Cloud) -> None:
    """Every leg is ok; the key is revoked and the job deleted."""
    legs = json.loads(cloud.logferry("doctor", "--deep", "--json", "--patience", "180").stdout)
    assert [leg for leg in legs if leg["outcome"] != "ok"] == []
    assert {"stream and broadcast", "ingest and store", "read it from history"} <= {leg["name"] for leg in legs}
    assert cloud.get("/api/jobs", name="logferry-doctor")["jobs"] == []
    principals = json.loads(cloud.logferry("keys", "list", "--json").stdout)
    [doctor] = [principal for principal in principals if principal["name"] == "logferry-doctor"]
    assert all("revoked" in key for key in doctor["keys"])


def client(cloud: Cloud, service: str) -> Any:
    """Return a client with which the operator sees the local cloud."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=cloud.state.endpoint_url,
        region_name=cloud.state.region,
        aws_access_key_id=cloud.state.access_key,
        aws_secret_access_key="test",
    )


def archive_leg(cloud: Cloud) -> dict[str, Any]:
    """Return what the command says of the archive."""
    legs = json.loads(cloud.logferry("doctor", "--json", "--patience", "180", check=False).stdout)
    [found] = [leg for leg in legs if leg["name"] == "archive"]
    return dict(found)


def physical(cloud: Cloud, logical: str) -> str:
    """Return the physical id of a resource of the stack."""
    formation = client(cloud, "cloudformation")
    found = formation.describe_stack_resource(StackName=cloud.state.stack, LogicalResourceId=logical)
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


@contextmanager
def job_awaiting_archive(cloud: Cloud) -> Iterator[str]:
    """Put a job that was last opened long ago on the archive's list, with one batch."""
    job, long_ago = f"nobody.{'e' * 64}", int(time.time() * 1000) - 9 * 3_600_000
    dynamodb, tables = client(cloud, "dynamodb"), cloud.state.tables
    listed = {**items.archive_key(job), **items.to_item({"opened": long_ago, **items.unarchived_attributes(job)})}
    batch = items.to_item({"job": job, "first": 1, "count": 1, "received": long_ago})
    dynamodb.put_item(TableName=tables.registry, Item=listed)
    dynamodb.put_item(TableName=tables.log, Item=batch)
    try:
        yield job
    finally:
        dynamodb.delete_item(TableName=tables.registry, Key=items.archive_key(job))
        dynamodb.delete_item(TableName=tables.log, Key={"job": batch["job"], "first": batch["first"]})


def test_broken_archive_is_named(cloud: Cloud) -> None:
    """A sweep is seen; a job that waits too long, a disabled schedule and a failed invocation are reported."""
    function, rule = physical(cloud, "Archive"), physical(cloud, "ArchiveHourly")
    answer = client(cloud, "lambda").invoke(FunctionName=function, Payload=b'{"sweep":"hourly"}')
    assert "FunctionError" not in answer
    found = archive_leg(cloud)
    assert (found["outcome"], found["detail"].partition(",")[0]) == ("ok", "swept 0 minutes ago")

    with job_awaiting_archive(cloud) as job:
        found = archive_leg(cloud)
    assert found["outcome"] == "failed"
    assert job in found["detail"]
    assert function in found["detail"]

    client(cloud, "events").disable_rule(Name=rule)
    try:
        found = archive_leg(cloud)
    finally:
        client(cloud, "events").enable_rule(Name=rule)
    assert found["outcome"] == "failed"
    assert rule in found["detail"]

    given_up = {"Bucket": physical(cloud, "FailureBucket"), "Key": f"aws/lambda/async/{function}/2026/11/26/x"}
    client(cloud, "s3").put_object(**given_up, Body=b"{}")
    try:
        found = archive_leg(cloud)
    finally:
        client(cloud, "s3").delete_object(**given_up)
    assert (found["outcome"], "`logferry replay`" in found["detail"]) == ("warning", True)


def test_disabled_broadcast_is_named(cloud: Cloud) -> None:
    """The stream's mapping is disabled: storing and history work, and only the leg between them fails."""
    functions = client(cloud, "lambda")
    mappings = [
        mapping["UUID"]
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]
        if cloud.state.tables.log in mapping["EventSourceArn"]
    ]
    assert mappings
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        done = cloud.logferry("doctor", "--json", "--patience", "180", check=False)
    finally:
        for mapping in mappings:
            functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    found = {leg["name"]: leg for leg in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["LogTable and its stream"]["outcome"] == "failed"
    assert "Broadcast is stopped" in found["LogTable and its stream"]["detail"]
    assert f"update-event-source-mapping --enabled --uuid {mappings[0]}" in found["LogTable and its stream"]["detail"]
    assert found["RegistryTable and its stream"]["outcome"] == "ok"
