"""Compare every call that publish makes with its role, both ways: a hook of botocore notes what the clients send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws
from tests.support import templates
from tests.support.clouds import SECRETS
from tests.unit.publish.test_publish import Context

from publish import app
from publish.store import Store

ARNS = {"viewer": "${ViewerBucket.Arn}", "failures": "${FailureBucket.Arn}"}
OTHERS = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""Actions of Lambda itself, under the function's role."""

Call = tuple[str, str]


def calls_of(operation: str, given: dict[str, Any]) -> Iterator[Call]:
    """Yield the IAM action and the resource of each part of a call, as the template names resources."""
    match operation:
        case "PutObject":
            yield "s3:PutObject", f"{ARNS[given['Bucket']]}/{given['Key']}"
        case "DeleteObjects":
            for one in given["Delete"]["Objects"]:
                yield "s3:DeleteObject", f"{ARNS[given['Bucket']]}/{one['Key']}"
        case "ListObjectsV2":
            yield "s3:ListBucket", ARNS[given["Bucket"]]
        case "CreateInvalidation":
            name = given["DistributionId"]
            yield "cloudfront:CreateInvalidation", f"arn:aws:cloudfront::123456789012:distribution/{name}"
        case _:
            pytest.fail(f"publish calls {operation}, which this test does not know")


def granted() -> set[Call]:
    """Return each action and resource of the role."""
    template = templates.load("template.yaml")
    role = templates.Resolver(template, {}).resources()["PublishRole"]["Properties"]
    return {
        (action, resource)
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[set[Call]]:
    """Publish, publish again and remove everything; provide the calls."""
    found: set[Call] = set()

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        found.update(calls_of(model.name, params))

    def answer(**_: Any) -> AWSResponse:  # moto has no such distribution
        return AWSResponse("https://cloudfront.amazonaws.com", 201, HTTPHeaders(), _Empty())

    with mock_aws():
        s3, cloudfront = boto3.client("s3", **SECRETS), boto3.client("cloudfront", **SECRETS)
        for bucket in ARNS:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="failures", Key="aws/lambda/x", Body=b"")
        (tmp_path / "index.html").write_text("page")
        for client in (s3, cloudfront):
            client.meta.events.register("before-parameter-build.*.*", note)
        cloudfront.meta.events.register("before-send.cloudfront.*", answer)
        store = Store(s3, cloudfront, "viewer", "${Distribution}")
        answers: list[dict[str, Any]] = []
        handler = app.build_handler(
            store, tmp_path, Logger(level="CRITICAL"), lambda _url, body: answers.append(json.loads(body))
        )
        for request in ("Create", "Update", "Delete"):
            event = {"RequestType": request, "RequestId": "r", "StackId": "s", "LogicalResourceId": "l"}
            properties = {"Config": {"auth": {"kind": "key"}}, "Empties": ["failures"]}
            handler(
                {
                    **event,
                    "ResponseURL": "u",
                    "ResourceType": "Custom::PublishedViewer",
                    "ResourceProperties": properties,
                },
                Context(120_000),
            )
        assert [one["Status"] for one in answers] == ["SUCCESS"] * 3, answers
        yield found


class _Empty:
    """An answer without a body."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield b""


def allows(grant: Call, call: Call) -> bool:
    """Return whether a permission covers a call."""
    return grant[0] == call[0] and fnmatchcase(call[1], grant[1])


def test_every_call_of_publish_is_allowed(made: set[Call]) -> None:
    """On the bucket and the keys that it names."""
    assert {call[0] for call in made} >= {"s3:PutObject", "s3:DeleteObject", "cloudfront:CreateInvalidation"}
    assert [call for call in made if not any(allows(grant, call) for grant in granted())] == []


def test_every_permission_of_publish_is_used(made: set[Call]) -> None:
    """Logs are written by Lambda itself."""
    unused = {grant for grant in granted() if not any(allows(grant, call) for call in made)}
    assert {action for action, _ in unused} <= OTHERS
