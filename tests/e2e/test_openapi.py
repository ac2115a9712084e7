"""Run schemathesis on the deployed API, with authorizer and roles. Long form: tests/unit/query/test_openapi.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from hypothesis import HealthCheck, assume, settings
from schemathesis import Case
from tests.e2e.conftest import Cloud
from tests.support.batches import CONTAINER, batch_document
from tests.support.openapi import assert_refused_without_stack_trace, checks_for, schema, target_existing_job
from websockets.sync.client import connect

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

JOB = f"local.{CONTAINER}"
BESIDE = ("TICKET#", "AUDIT#", "GRANT#", "CONNECTION#", "INSTANCE#", "USAGE#")
"""Items that served requests may create, and those of other tests' agents and viewers."""


def stored(cloud: Cloud) -> dict[str, Any]:
    """Return the job's batches and all registry items that no valid request here may change."""
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=cloud.state.endpoint_url,
        region_name=cloud.state.region,
        aws_access_key_id=cloud.state.access_key,
        aws_secret_access_key="test",
    )
    found: dict[str, Any] = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName=cloud.state.tables.registry):
        found |= {item["pk"]["S"] + item["sk"]["S"]: item for item in page["Items"]}
    kept = {key: item for key, item in found.items() if not key.startswith(BESIDE)}
    query: Any = {"KeyConditionExpression": "job = :job", "ExpressionAttributeValues": {":job": {"S": JOB}}}
    return {**kept, JOB: dynamodb.query(TableName=cloud.state.tables.log, **query)["Items"]}


@pytest.fixture(scope="module")
def job(cloud: Cloud) -> Iterator[str]:
    """Provide a job with a batch, and check at the end that it is unchanged."""
    life, container = {"state": "exited", "created": 1, "ended": 2}, {"name": "asked"}
    opening = [{"job": CONTAINER, "container": container, "life": life}]
    headers = {"Authorization": f"Bearer {cloud.keys.agent_key}"}
    with connect(f"{cloud.state.agents_url}?v=1", additional_headers=headers, open_timeout=60) as socket:
        for message in (
            {"type": "open", "id": "o", "instance": "ASKED", "jobs": opening},
            {"type": "ingest", "id": "i", "batches": [batch_document(1)]},
        ):
            socket.send(json.dumps(message))
            assert json.loads(socket.recv(60))["id"] == message["id"]
    before = stored(cloud)
    yield JOB
    assert stored(cloud) == before


@schema(coverage=False).parametrize()
@settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_documented(cloud: Cloud, job: str, case: Case[Any]) -> None:
    """Through the authorizer, API Gateway's own parsing, and a function with its own role."""
    # The emulator's own routes match no line feed in a path.
    assume("\n" not in unquote(case.formatted_path))
    target_existing_job(case, job)
    answer = case.call(
        base_url=cloud.state.http_url, headers={"Authorization": f"Bearer {cloud.keys.viewer_key}"}, timeout=60
    )
    case.validate_response(answer, checks=checks_for(case))
    assert_refused_without_stack_trace(answer)
