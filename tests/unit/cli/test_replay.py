"""Test resending what a stream could not deliver."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from logferry_cli import replay
from logferry_cli.deployment import Deployment
from logferry_cli.problems import Problem

EVENT = {"Records": [{"eventID": "1", "dynamodb": {"SequenceNumber": "100"}}]}
BUCKET = "failures"


class Functions:
    """A fake Lambda for replays: it gives its answers in order, then reports everything delivered."""

    def __init__(self, *answers: tuple[str | None, bytes]) -> None:
        self.answers = list(answers)
        self.invoked: list[tuple[str, Any]] = []

    def get_event_source_mapping(self, UUID: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        return {"FunctionArn": f"function-of-{UUID}"}

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.invoked.append((FunctionName, json.loads(Payload)))
        error, content = self.answers.pop(0) if self.answers else (None, b'{"batchItemFailures": []}')
        return {"Payload": io.BytesIO(content)} | ({"FunctionError": error} if error else {})


class FakeDeployment(Deployment):
    """A deployment with fake functions."""

    functions = Functions()

    def client(self, service: str) -> Any:
        return self.functions if service == "lambda" else super().client(service)


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDeployment]:
    """Provide a stack with an empty failure bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        session.client("s3").create_bucket(Bucket=BUCKET)
        made = FakeDeployment(session, None, "stack", {"FailureBucket": BUCKET})
        FakeDeployment.functions = Functions()
        monkeypatch.setattr(replay, "find_deployment", lambda _state, _stack: made)
        yield made


def fail(deployment: Deployment, name: str, event: Any = None) -> None:
    """Put an object there as Lambda does."""
    content = {
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "version": "1.0",
        "payload": json.dumps(EVENT if event is None else event),
    }
    key = f"aws/lambda/mapping-1/shard-1/2026/11/23/{name}"
    deployment.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content))


def left(deployment: Deployment) -> int:
    return int(deployment.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"])


def replayed(**options: Any) -> None:
    given: dict[str, Any] = {"state": Path(), "list_only": False, "keep": False, "limit": 1000, "stack": None}
    replay.replay(**given | options)


def test_event_goes_to_its_function_and_its_object_is_deleted(deployment: FakeDeployment) -> None:
    """A delivered event leaves the bucket."""
    fail(deployment, "a")
    fail(deployment, "b")
    replayed()
    assert deployment.functions.invoked == [("function-of-mapping-1", EVENT)] * 2
    assert left(deployment) == 0


def test_asynchronous_call_is_repeated(deployment: FakeDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    """Archive's events: Lambda names the function, and archive answers nothing when it is done."""
    event = {"archive": ["web.c"], "why": "daily"}
    content = {
        "version": "1.0",
        "requestContext": {"functionArn": "arn:archive:$LATEST", "condition": "RetriesExhausted"},
        "requestPayload": event,
        "responsePayload": {"errorType": "NotArchivedError"},
    }
    key = "aws/lambda/async/archive/2026/11/23/2026-11-23T10.00.00-1"
    deployment.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content))
    FakeDeployment.functions = Functions((None, b"null"))
    replayed()
    assert deployment.functions.invoked == [("arn:archive:$LATEST", event)]
    assert left(deployment) == 0
    assert "a call, RetriesExhausted: delivered" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        ("Unhandled", b'{"errorMessage": "boom"}'),
        (None, b'{"batchItemFailures": [{"itemIdentifier": "100"}]}'),
        (None, b"not json"),
    ],
)
def test_event_that_fails_again_stays(deployment: FakeDeployment, answer: tuple[str | None, bytes]) -> None:
    """The exit status reports it, after all others were tried."""
    fail(deployment, "a")
    fail(deployment, "b")
    FakeDeployment.functions = Functions(answer)
    with pytest.raises(Problem, match="1 objects failed again"):
        replayed()
    assert left(deployment) == 1
    assert len(deployment.functions.invoked) == 2


def test_list_sends_nothing(deployment: FakeDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    """It only reads."""
    fail(deployment, "a")
    replayed(list_only=True)
    assert "1 records, RetryAttemptsExhausted" in capsys.readouterr().out
    assert (deployment.functions.invoked, left(deployment)) == ([], 1)


def test_keep_leaves_the_objects(deployment: FakeDeployment) -> None:
    """For later inspection."""
    fail(deployment, "a")
    replayed(keep=True)
    assert (len(deployment.functions.invoked), left(deployment)) == (1, 1)


def test_empty_bucket_is_reported_as_success(deployment: FakeDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no error."""
    replayed()
    assert "There is nothing to replay" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"payload": "{}"}',
        b'{"payload": "{\\"Records\\": 1}"}',
        b'{"requestPayload": 1}',
        b'{"requestPayload": {}}',
    ],
)
def test_foreign_object_is_reported(content: bytes) -> None:
    """It stops the replay with its name."""
    with pytest.raises(Problem, match="is not what Lambda writes"):
        replay.parse_failure("aws/lambda/x/y", content)
