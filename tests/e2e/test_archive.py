"""Test that a job whose batches left the log table reads the same from the archive, byte for byte; then delete it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from tests.e2e.conftest import Agent, Cloud, Containers, numbered, wait_for

from logferry_local.aws import LocalAws
from registry import items

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(600)]

LINES = 1_500


class Account:
    """The local cloud as its operator sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._aws, self._state = LocalAws(cloud.state.endpoint_url, access_key=cloud.state.access_key), cloud.state
        self.dynamodb, self.s3, self.athena = (self._aws.client(name) for name in ("dynamodb", "s3", "athena"))
        stack = self._aws.client("cloudformation").describe_stacks(StackName=cloud.state.stack)["Stacks"][0]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}

    def archive(self, event: dict[str, Any]) -> None:
        """Invoke the function archive and wait for its end."""
        resources = self._aws.client("cloudformation")
        found = resources.describe_stack_resource(StackName=self._state.stack, LogicalResourceId="Archive")
        name = found["StackResourceDetail"]["PhysicalResourceId"]
        answer = self._aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        assert "FunctionError" not in answer, answer["Payload"].read()

    def archived_tip(self, job: str) -> int:
        item = self.dynamodb.get_item(TableName=self._state.tables.registry, Key=items.archive_key(job)).get("Item")
        return int(items.from_item(item or {}).get("tip") or 0)

    def batches(self, job: str) -> list[int]:
        """Return first sequences of the batches in the log table."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self._state.tables.log,
            KeyConditionExpression="job = :job",
            ExpressionAttributeValues={":job": {"S": job}},
        )
        return [int(item["first"]["N"]) for page in pages for item in page["Items"]]

    def forget(self, job: str, firsts: list[int]) -> None:
        """Delete batches as the table's time to live does."""
        for first in firsts:
            key = {"job": {"S": job}, "first": {"N": str(first)}}
            self.dynamodb.delete_item(TableName=self._state.tables.log, Key=key)

    def objects(self, job: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.outputs["ArchiveBucket"])
        return [item["Key"] for page in pages for item in page.get("Contents", []) if job in item["Key"]]

    def query(self, sql: str) -> list[list[str]]:
        """Return Athena's rows; on the emulator, DuckDB reads the objects of the same Glue table."""
        execution = self.athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": self.outputs["ArchiveDatabase"]},
            ResultConfiguration={"OutputLocation": f"s3://{self.outputs['ArchiveBucket']}/results/"},
        )["QueryExecutionId"]

        def ended() -> dict[str, Any] | None:
            status = self.athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]
            return status if status["State"] not in {"QUEUED", "RUNNING"} else None

        status = wait_for(ended, "the end of the query")
        assert status["State"] == "SUCCEEDED", status
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution)
        rows = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
        return [[cell.get("VarCharValue", "") for cell in row] for row in islice(rows, 1, None)]


def commands(cloud: Cloud, job: str) -> list[bytes]:
    """Return what the commands print about the job."""
    tail, verified = cloud.logferry("tail", job), cloud.logferry("verify", job, "--json").stdout
    assert json.loads(verified)["sound"] is True
    return [tail.stdout, tail.stderr, verified, cloud.logferry("export", job, "--format", "text").stdout]


def answers(cloud: Cloud, job: str) -> list[Any]:
    """Return what the HTTP API says of it: the whole as JSON lines, and seeks by time, text and sequence."""
    exported = cloud.logferry("export", job, "--format", "jsonl").stdout
    middle = json.loads(exported.splitlines()[LINES // 2])["timestamp"]
    return [
        exported,
        cloud.get(f"/api/jobs/{job}/at", time=middle),
        cloud.get(f"/api/jobs/{job}/search", q="farbe 77", context=1),
        cloud.get(f"/api/jobs/{job}/batches", after=LINES // 2, limit=3),
        cloud.get(f"/api/jobs/{job}/batches", before=LINES // 2, limit=3),
        cloud.get(f"/api/jobs/{job}")["tip"],
    ]


def test_job_reads_the_same_after_its_batches_expired(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """Its end archives it; the table forgets in any order; Athena has each line once; deletion removes all."""
    make_agent()
    job = cloud.ended(containers.run("archived", numbered(LINES, pause_every=100)))
    account, tip = Account(cloud), cloud.tip(job)
    wait_for(lambda: account.archived_tip(job), "the archive, which ingest tells of the job's end")
    # The end may be reported before the last lines are stored: the daily sweep archives those.
    account.archive({"sweep": "daily"})
    wait_for(lambda: account.archived_tip(job) == tip, "the whole job in the archive")

    told, before = commands(cloud, job), answers(cloud, job)
    firsts = account.batches(job)
    random.Random(7).shuffle(firsts)
    half = len(firsts) // 2
    account.forget(job, firsts[:half])
    assert answers(cloud, job) == before
    account.forget(job, firsts[half:])
    assert account.batches(job) == []
    assert answers(cloud, job) == before
    assert commands(cloud, job) == told

    entries = [json.loads(line) for line in before[0].splitlines()]
    owner = cloud.get(f"/api/jobs/{job}")["owner"]
    found = account.query(
        f"SELECT sequence, stream, line, name FROM logs WHERE owner = '{owner}' AND job = '{job}' ORDER BY sequence"
    )
    name = cloud.get(f"/api/jobs/{job}")["container"]["name"]
    assert found == [[str(entry["sequence"]), entry["stream"], entry["line"], name] for entry in entries]

    assert account.objects(job)
    cloud.logferry("delete", job, "--yes")
    wait_for(lambda: not account.objects(job), "the end of its objects")
