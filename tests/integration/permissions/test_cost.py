"""Test `logferry cost` against the whole stack. The emulator makes no metrics, so the tests put them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.stacks import STACK, Stack

pytestmark = pytest.mark.cloud

NAMESPACE = f"Logferry/{STACK}"


def run_cost(stack: Stack, *more: str, region: str = "us-east-1") -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does, with credentials from the environment."""
    names = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in names if name in os.environ} | {
        "AWS_ENDPOINT_URL": stack.aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": stack.aws.access_key,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": region,
    }
    command = [str(Path(sys.executable).with_name("logferry")), "cost", "--stack", STACK, *more]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def put(stack: Stack, namespace: str, name: str, value: float, **dimensions: str) -> None:
    pairs = [{"Name": key, "Value": each} for key, each in dimensions.items()]
    stack.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[{"MetricName": name, "Value": value, "Dimensions": pairs, "Timestamp": datetime.now(UTC)}],
    )


def found(document: Any, group: str, name: str) -> Any:
    [item] = [one for one in document["items"] if (one["group"], one["name"]) == (group, name)]
    return item


def test_costs_are_unknown_until_measured_and_then_computed(stack: Stack, tmp_path: Path) -> None:
    """One test, because what is put into CloudWatch stays there."""
    before = json.loads(run_cost(stack, "--json").stdout)
    unmeasured = {item["name"] for item in before["items"] if item["amount"] is None}
    # The emulator counts calls of functions; all else of AWS's own metrics it does not have.
    assert unmeasured >= {"agents' messages", "agents' connections", "HTTP requests", "log table, writes", "requests"}
    for item in before["items"]:
        unknown = item["amount"] is None
        assert (item["cost"] is None, item["month"] is None, bool(item["unknown"])) == (unknown,) * 3, item
    assert (before["complete"], before["cloudwatch_logs"]["month"]) == (False, None)
    assert found(before, "CloudWatch", "metrics of alarms")["month"] == pytest.approx(3.7)  # the emulator has 37 of 38
    assert found(before, "CloudWatch", "dashboards")["month"] == 3.0
    earlier = found(before, "Lambda", "Ingest, time")["amount"] or 0.0

    api, stage = {"ApiId": stack.outputs["AgentsApi"]}, {"Stage": "live"}
    put(stack, "AWS/ApiGateway", "MessageCount", 2_000_000, **api, **stage)
    put(stack, NAMESPACE, "Pings", 15, service="ingest")
    http = {"ApiId": stack.outputs["HttpApi"], "Stage": "$default"}
    put(stack, "AWS/ApiGateway", "Count", 1_000, **http)
    put(stack, "AWS/ApiGateway", "DataProcessed", 10 * 512 * 1024, **http)
    put(stack, "AWS/Lambda", "Duration", 3_600_000, FunctionName=stack.physical["Ingest"])
    put(stack, "AWS/DynamoDB", "ConsumedWriteCapacityUnits", 1e6, TableName=stack.physical["LogTable"])
    put(
        stack,
        "AWS/S3",
        "BucketSizeBytes",
        1e10,
        BucketName=stack.outputs["ArchiveBucket"],
        StorageType="StandardStorage",
    )
    put(stack, NAMESPACE, "EntriesStored", 1e6, service="ingest")
    put(stack, NAMESPACE, "RawBytesStored", 1e9, service="ingest")

    after = json.loads(run_cost(stack, "--json", "--days", "1").stdout)
    assert found(after, "API Gateway", "agents' messages")["cost"] == pytest.approx(2.0)
    assert found(after, "API Gateway", "agents' connections")["amount"] == 60
    assert found(after, "API Gateway", "HTTP requests")["amount"] == 1_010
    time = found(after, "Lambda", "Ingest, time")
    assert time["amount"] - earlier == pytest.approx(1_800, rel=0.01)  # an hour at 512 MB
    assert found(after, "DynamoDB", "log table, writes")["cost"] == pytest.approx(0.625)
    assert found(after, "S3", "ArchiveBucket, storage")["month"] == pytest.approx(0.23)
    assert found(after, "API Gateway", "viewers' messages")["cost"] is None
    months = after["days"] / (365.25 / 12)
    assert after["cloudwatch_logs"]["ingestion"] == pytest.approx(1.026 * 0.5 / months, rel=0.01)

    text = run_cost(stack)
    assert text.returncode == 0, text.stderr
    assert "agents' messages" in text.stdout
    assert "Not known, and in no sum:" in text.stdout
    assert "The same lines in CloudWatch Logs (driver awslogs)" in text.stdout

    elsewhere = tmp_path / "prices.toml"
    elsewhere.write_text("[eu-west-1]\n")
    refused = run_cost(stack, "--prices", str(elsewhere))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "no table [us-east-1]" in refused.stderr


def test_missing_stack_is_one_line(stack: Stack) -> None:
    done = run_cost(stack, "--stack", "nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nowhere" in done.stderr
