"""Test that the deployment itself puts the viewer into its bucket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger
from moto import mock_aws
from tests.support.clouds import SECRETS

from publish import app, core
from publish.store import Store

CONFIG = {"api": "/api", "auth": {"kind": "oidc", "client_id": 'a"b', "logout": ""}}


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", **SECRETS)
        client.create_bucket(Bucket="viewer", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


class FakeCloudFront:
    """Record the paths that are invalidated in its caches."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def create_invalidation(self, **asked: Any) -> None:
        self.forgotten += asked["InvalidationBatch"]["Paths"]["Items"]


@pytest.fixture
def viewer(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    for name in ("index.html", "icon.svg", "assets/index-abc.js", "config.json"):
        (tmp_path / name).write_text(f"the content of {name}")
    return tmp_path


@dataclass
class Context:
    """What Lambda passes beside the event."""

    remaining_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def run(
    s3: Any, viewer: Path, request: str, remaining_ms: int = 120_000, **properties: Any
) -> tuple[dict[str, Any], FakeCloudFront]:
    answers: list[dict[str, Any]] = []
    cloudfront = FakeCloudFront()
    store = Store(s3, cloudfront, "viewer", "E123")
    handler = app.build_handler(
        store, viewer, Logger(level="CRITICAL"), lambda _url, body: answers.append(json.loads(body))
    )
    event = {"RequestType": request, "RequestId": "r", "StackId": "s", "LogicalResourceId": "l", "ResponseURL": "u"}
    handler({**event, "ResourceProperties": properties}, Context(remaining_ms))
    (answer,) = answers
    return answer, cloudfront


def test_viewer_is_published_with_its_configuration(s3: Any, viewer: Path) -> None:
    """The page is revalidated at each load, hashed files never; the configuration is this deployment's."""
    answer, cloudfront = run(s3, viewer, "Create", Config=CONFIG)
    assert answer["Status"] == "SUCCESS"
    found = {item["Key"] for item in s3.list_objects_v2(Bucket="viewer")["Contents"]}
    assert found == {"index.html", "icon.svg", "assets/index-abc.js", "config.json"}
    config = json.loads(s3.get_object(Bucket="viewer", Key="config.json")["Body"].read())
    assert config == {"api": "/api", "auth": {"kind": "oidc", "client_id": 'a"b'}}, "what is empty was not set"
    page = s3.head_object(Bucket="viewer", Key="index.html")
    assert (page["ContentType"], page["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")
    script = s3.head_object(Bucket="viewer", Key="assets/index-abc.js")
    assert "immutable" in script["CacheControl"]
    assert "/index.html" in cloudfront.forgotten


def test_changed_configuration_replaces_the_published_one(s3: Any, viewer: Path) -> None:
    """It is the custom resource's property, so that a changed parameter publishes it again."""
    run(s3, viewer, "Create", Config=CONFIG)
    assert run(s3, viewer, "Update", Config={"auth": {"kind": "key"}})[0]["Status"] == "SUCCESS"
    assert json.loads(s3.get_object(Bucket="viewer", Key="config.json")["Body"].read()) == {"auth": {"kind": "key"}}


def test_roll_back_to_properties_without_a_configuration_succeeds(s3: Any, viewer: Path) -> None:
    """Version 0.1.0 kept it in the function's environment. A failure here would leave the stack half rolled back."""
    run(s3, viewer, "Create", Config=CONFIG)
    answer, _ = run(s3, viewer, "Update", Contents="1")
    assert answer["Status"] == "SUCCESS"
    assert json.loads(s3.get_object(Bucket="viewer", Key="config.json")["Body"].read())["api"] == "/api"


def test_functions_built_for_another_target_fail_the_deployment_with_what_to_run(s3: Any, tmp_path: Path) -> None:
    """`sam deploy --guided` asks for parameters that `sam build` did not know: each function would fail on import."""
    viewer = tmp_path / "viewer"
    viewer.mkdir()
    (viewer / "index.html").write_text("the page")
    (tmp_path / "target").write_text("python3.13-arm64\n")
    answer, _ = run(s3, viewer, "Update", Config=CONFIG, Target="python3.14-x86_64")
    assert answer["Status"] == "FAILED"
    assert "--parameter-overrides PythonRuntime=python3.14 Architecture=x86_64" in answer["Reason"]
    assert "Contents" not in s3.list_objects_v2(Bucket="viewer"), "nothing was published"
    assert run(s3, viewer, "Update", Config=CONFIG, Target="python3.13-arm64")[0]["Status"] == "SUCCESS"
    assert run(s3, viewer, "Update", Config=CONFIG)[0]["Status"] == "SUCCESS"


def test_page_is_uploaded_last() -> None:
    """It names the other files, so they must exist first."""
    assert [upload.key for upload in core.plan(["index.html", "z.js", "assets/a.js"])][-1] == "index.html"


def test_unbuilt_viewer_fails_the_deployment_with_advice(s3: Any, tmp_path: Path) -> None:
    """It always answers: CloudFormation would otherwise wait for an hour."""
    answer, _ = run(s3, tmp_path, "Update")
    assert answer["Status"] == "FAILED"
    assert "npm run build" in answer["Reason"]


def test_bucket_is_emptied_when_the_stack_is_deleted(s3: Any, viewer: Path) -> None:
    """S3 removes only empty buckets."""
    run(s3, viewer, "Create")
    assert run(s3, viewer, "Delete")[0]["Status"] == "SUCCESS"
    assert "Contents" not in s3.list_objects_v2(Bucket="viewer")


def test_other_bucket_is_emptied_only_when_its_resource_is_deleted(s3: Any, viewer: Path) -> None:
    """`sam delete` would fail at a bucket with objects. More than a thousand are listed in several pages."""
    s3.create_bucket(Bucket="failures", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for number in range(1_001):
        s3.put_object(Bucket="failures", Key=f"aws/lambda/{number}", Body=b"")
    for request in ("Create", "Update"):
        assert run(s3, viewer, request, Config=CONFIG, Empties=["failures"])[0]["PhysicalResourceId"] == "viewer"
    assert s3.list_objects_v2(Bucket="failures")["KeyCount"] == 1_000
    assert run(s3, viewer, "Delete", Config=CONFIG, Empties=["failures"])[0]["Status"] == "SUCCESS"
    for bucket in ("failures", "viewer"):
        s3.delete_bucket(Bucket=bucket)


def test_bucket_with_too_many_objects_fails_with_advice(s3: Any, viewer: Path) -> None:
    """Lambda would stop the function without an answer, and CloudFormation would give no reason."""
    s3.put_object(Bucket="viewer", Key="a", Body=b"")
    answer, _ = run(s3, viewer, "Delete", remaining_ms=app.ANSWER_MS - 1)
    assert answer["Status"] == "FAILED"
    assert "delete the stack again" in answer["Reason"]
