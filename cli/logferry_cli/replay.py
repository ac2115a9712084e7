"""`logferry replay`: repeat what a table's stream or an asynchronous call could not deliver.

Lambda writes one object per failed batch of a stream into the stack's failure bucket, under `aws/lambda/<event source
mapping>/…`, with the whole event in `payload`. It writes one per failed asynchronous call (archive's) under
`aws/lambda/async/<function>/…`, with the event in `requestPayload`. Replaying invokes the same function with the same
event and deletes what it delivers. Replaying twice does no harm: readers order and deduplicate by sequence, and the
archive continues where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli.deployment import Deployment, StackOption, find_deployment
from logferry_cli.options import StateOption
from logferry_cli.problems import Problem
from logferry_cli.terminal import sanitize_word

PREFIX: Final = "aws/lambda/"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(replay)


@dataclass(frozen=True, slots=True)
class Failure:
    """One object of the failure bucket."""

    key: str
    mapping: str | None
    """The event source mapping of the batch; None for an asynchronous call."""
    function: str | None
    """The function that was called; None for a batch of a stream."""
    event: dict[str, Any]
    """The event with which the function was invoked."""
    condition: str
    """Why Lambda gave up: `RetryAttemptsExhausted`, `MaxRecordAgeExceeded` …"""


def replay(
    *,
    state: StateOption,
    list_only: Annotated[bool, typer.Option("--list", help="List the objects without replaying them.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the objects in the bucket.")] = False,
    limit: Annotated[
        int, typer.Option(min=1, help="Replay at most this many objects, in the order of their keys.")
    ] = 1000,
    stack: StackOption = None,
) -> None:
    """Send again what could not be delivered (operators; uses AWS credentials)."""
    deployment = find_deployment(state, stack)
    try:
        left = _replayed(deployment, limit, list_only=list_only, keep=keep)
    except ClientError as error:
        raise Problem(
            f"AWS refused ({error.response['Error']['Message']}).", "Check that your AWS identity may do this."
        ) from None
    except BotoCoreError as error:
        raise Problem(f"AWS cannot be reached ({error}).", "Check the region and your AWS credentials.") from None
    if left:
        raise Problem(
            f"{left} objects failed again and stay in the bucket.", "See the function's log group for the reason."
        )


def _replayed(deployment: Deployment, limit: int, *, list_only: bool, keep: bool) -> int:
    """Replay the objects. Return how many failed again."""
    s3, bucket = deployment.client("s3"), deployment.output("FailureBucket")
    functions: dict[str, str] = {}
    found = left = 0
    for key in _keys(s3, bucket, limit):
        found += 1
        failure = parse_failure(key, s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        typer.echo(f"{sanitize_word(key)}: {_size(failure.event)}, {sanitize_word(failure.condition)}", nl=list_only)
        if list_only:
            continue
        if failure.mapping is not None and failure.mapping not in functions:
            mapping = deployment.client("lambda").get_event_source_mapping(UUID=failure.mapping)
            functions[failure.mapping] = mapping["FunctionArn"]
        function = failure.function or functions[failure.mapping or ""]
        complaint = _invoke(deployment.client("lambda"), function, failure.event)
        typer.echo(f": {complaint or 'delivered'}")
        if complaint:
            left += 1
        elif not keep:
            s3.delete_object(Bucket=bucket, Key=key)
    if not found:
        typer.echo("There is nothing to replay.")
    return left


def parse_failure(key: str, content: bytes) -> Failure:
    """Parse an object that Lambda wrote into the bucket.

    Raises:
        Problem: It is something else.
    """
    try:
        document = json.loads(content)
        context = document.get("requestContext", {})
        condition = str(context.get("condition", "unknown condition"))
        if "requestPayload" in document:
            event, mapping, function = document["requestPayload"], None, str(context["functionArn"])
            event.keys()
        else:
            payload = document["payload"]
            event = json.loads(payload) if isinstance(payload, str) else payload
            len(event["Records"])
            mapping, function = key.removeprefix(PREFIX).split("/", 1)[0], None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(
            f"{sanitize_word(key[:200])} is not what Lambda writes ({type(error).__name__}: {error}).",
            "Remove it from the bucket if it does not belong there.",
        ) from None
    return Failure(key, mapping, function, event, condition)


def _size(event: dict[str, Any]) -> str:
    return f"{len(event['Records'])} records" if "Records" in event else "a call"


def _keys(s3: Any, bucket: str, limit: int) -> Iterator[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=PREFIX, PaginationConfig={"MaxItems": limit}
    )
    for page in pages:
        for item in page.get("Contents", ()):
            yield item["Key"]


def _invoke(functions: Any, name: str, event: dict[str, Any]) -> str:
    """Invoke a function. Return an empty text when it delivered everything, else what it says."""
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    content = answer["Payload"].read()
    if answer.get("FunctionError"):
        return f"failed again ({answer['FunctionError']})"
    try:
        failures = (json.loads(content) or {}).get("batchItemFailures", [])
    except (ValueError, AttributeError):
        return "failed again (its response cannot be read)"
    return f"{len(failures)} records failed again" if failures else ""
