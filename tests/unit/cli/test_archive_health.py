"""Test what `logferry doctor` reports about the archive, on state that the real functions left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from tests.support import clouds
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud, Socket
from tests.support.cloud import cloud as made_cloud

import archive.core
from logferry_cli import archive_health
from logferry_cli.deployment import Deployment
from registry import items

JOB = f"web.{CONTAINER}"
HOUR_MS = 3_600_000
BUCKET, FUNCTION, RULE = "failures", "stack-Archive", "stack-hourly"


@dataclass(frozen=True, slots=True)
class FakeDeployment(Deployment):
    """A deployment whose stack names two resources; everything else exists."""

    def client(self, service: str) -> Any:
        return _Formation() if service == "cloudformation" else Deployment.client(self, service)


class _Formation:
    def describe_stack_resource(self, StackName: str, LogicalResourceId: str) -> dict[str, Any]:  # noqa: N803
        physical = {"Archive": FUNCTION, "ArchiveHourly": RULE}[LogicalResourceId]
        return {"StackResourceDetail": {"PhysicalResourceId": physical}}


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with clouds.moto_dynamodb() as client:
        session = boto3.Session(**clouds.SECRETS)
        where: Any = {"LocationConstraint": clouds.REGION}
        session.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        session.client("events").put_rule(Name=RULE, ScheduleExpression="rate(1 hour)")
        yield client


@pytest.fixture
def cloud(dynamodb: Any) -> Iterator[Cloud]:
    with made_cloud(dynamodb) as made:
        yield made


@pytest.fixture
def agent(cloud: Cloud) -> Socket:
    """Provide an agent with a job of three entries."""
    socket = cloud.agent(cloud.agent_key())
    cloud.open_job(socket)
    cloud.send(socket, 1)
    return socket


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    outputs = {"RegistryTable": cloud.tables.registry, "LogTable": cloud.tables.log, "FailureBucket": BUCKET}
    return FakeDeployment(boto3.Session(**clouds.SECRETS), None, "stack", outputs)


def sweep(cloud: Cloud, why: str = "hourly") -> None:
    """Run a sweep and everything that it requests."""
    cloud.again.clear()
    cloud.archive({"sweep": why}, None)
    for event in list(cloud.again):
        cloud.archive(event, None)


def test_names_match_the_functions_names() -> None:
    """The command imports no function, so its copies are compared."""
    assert {name: {"S": value} for name, value in archive_health.SWEEP_KEY.items()} == items.sweep_key()
    assert (archive_health.SHARD_INDEX, archive_health.SHARDS) == (items.SHARD_INDEX, items.SHARDS)
    assert items.unarchived_partition(0).removesuffix("0") == archive_health.UNARCHIVED
    assert (archive_health.OLD_MS, archive_health.QUIET_MS) == (
        archive.core.MAX_AGE_MS,
        archive.core.UNOPENED_MS,
    )


def test_running_sweeps_are_healthy_however_long_a_job_runs(
    cloud: Cloud, agent: Socket, deployment: Deployment
) -> None:
    """A job writes for over a day, checked an hour after each sweep; then it ends."""
    began, told, first = cloud.now_ms, set(), 4
    assert (
        archive_health.inspect_archive(deployment, cloud.now_ms)
        .summary(cloud.now_ms)
        .startswith("no sweep yet, 1 jobs listed")
    )
    for hour in (2, 22, 23, 24, 25, 30, 31, 32):
        cloud.now_ms = began + hour * HOUR_MS
        if hour < 26:
            cloud.open_job(agent)
            cloud.send(agent, first)
            first += 3
        sweep(cloud)
        cloud.now_ms += HOUR_MS - 1
        found = archive_health.inspect_archive(deployment, cloud.now_ms)
        assert found.problems(cloud.now_ms) == []
        told.add(found.summary(cloud.now_ms))
    assert cloud.archive_store.state(JOB).tip == first - 1
    assert told == {f"swept 59 minutes ago, {listed} jobs listed, none overdue" for listed in (0, 1)}


def test_job_that_no_sweep_could_archive_is_named(cloud: Cloud, agent: Socket, deployment: Deployment) -> None:
    """The bucket refuses writes. The job is due three hours after its last open and late two hours later."""

    def fail(_operation: str, _name: str) -> None:
        raise RuntimeError("no right to it")

    cloud.bucket.before = fail
    seen = []
    for _ in range(6):
        cloud.now_ms += HOUR_MS
        cloud.archive({"sweep": "hourly"}, None)
        try:
            cloud.archive({"archive": [JOB], "why": "hourly"}, None)
        except archive.app.NotArchivedError:
            seen.append(cloud.now_ms)
        problems = archive_health.inspect_archive(deployment, cloud.now_ms).problems(cloud.now_ms)
    assert len(seen) == 4
    assert problems == [
        f"Jobs that should be archived by now but are not: {JOB}.",
        f"See the log group of {FUNCTION} for what failed.",
    ]
    cloud.bucket.before = lambda _operation, _name: None
    sweep(cloud)
    assert archive_health.inspect_archive(deployment, cloud.now_ms).problems(cloud.now_ms) == []


def test_running_job_with_lines_waiting_over_a_day_is_named(
    cloud: Cloud, agent: Socket, deployment: Deployment
) -> None:
    """It is reopened often, so it is never quiet; its oldest line counts."""
    for hours, late in ((25, ()), (2, (JOB,))):
        cloud.now_ms += hours * HOUR_MS
        cloud.open_job(agent)
        assert archive_health.inspect_archive(deployment, cloud.now_ms).unarchived == late


def test_unfinished_deletion_is_named(cloud: Cloud, agent: Socket, deployment: Deployment) -> None:
    """Its requester was told that it continues in the background."""
    key = cloud.viewer_key()
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", key).status == 202
    cloud.now_ms += HOUR_MS
    assert archive_health.inspect_archive(deployment, cloud.now_ms).unerased == ()
    cloud.now_ms += 2 * HOUR_MS
    cloud.archive({"sweep": "hourly"}, None)
    assert archive_health.inspect_archive(deployment, cloud.now_ms).problems(cloud.now_ms)[0] == (
        f"Jobs that were deleted hours ago but are not erased yet: {JOB}."
    )
    cloud.archive({"erase": JOB}, None)
    assert archive_health.inspect_archive(deployment, cloud.now_ms).unerased == ()


def test_stopped_sweeps_are_reported(cloud: Cloud, agent: Socket, deployment: Deployment) -> None:
    """By their age, or by the disabled schedule."""
    sweep(cloud)
    cloud.now_ms += 5 * HOUR_MS
    [first, *_] = archive_health.inspect_archive(deployment, cloud.now_ms).problems(cloud.now_ms)
    assert first == f"The last sweep was 5 hours ago, but one is due every hour (rule {RULE})."
    sweep(cloud)
    events = deployment.client("events")
    events.disable_rule(Name=RULE)
    try:
        [first, *_] = archive_health.inspect_archive(deployment, cloud.now_ms).problems(cloud.now_ms)
    finally:
        events.enable_rule(Name=RULE)
    assert first == f"The hourly schedule is disabled (rule {RULE}): enable it."


def test_failed_calls_of_the_archive_are_counted_and_others_are_not(deployment: Deployment) -> None:
    """Both are in one bucket."""
    s3 = deployment.client("s3")
    keys = [f"aws/lambda/async/{FUNCTION}/2026/11/26/a", f"aws/lambda/async/{FUNCTION}2/b", "aws/lambda/1-2-3/c"]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    try:
        found = archive_health.inspect_archive(deployment, 0)
    finally:
        for key in keys:
            s3.delete_object(Bucket=BUCKET, Key=key)
    assert found.failed_calls == "1 calls of the archive failed for good: run `logferry replay` to repeat them."
    assert archive_health.inspect_archive(deployment, 0).failed_calls == ""
