"""A deployed stack, as operators' commands use it with their own AWS credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from logferry_cli.problems import Problem
from logferry_state.errors import NotRunningError
from logferry_state.state import SECRET_KEY, load_state

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

StackOption = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar="LOGFERRY_STACK",
        help="Name of a deployed CloudFormation stack; region and credentials as the AWS CLI finds them.",
        metavar="NAME",
    ),
]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: a session for its account, and its outputs by name."""

    session: boto3.Session
    endpoint_url: str | None
    stack: str
    outputs: dict[str, str]

    @property
    def region(self) -> str:
        """The region of the stack."""
        return str(self.session.region_name)

    def client(self, service: str) -> Any:
        """Return a client of an AWS service. It is untyped, as its type depends on the name."""
        return self.session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]

    def client_in(self, region: str, service: str) -> Any:
        """Return a client of an AWS service in another region."""
        return self.session.client(service, region, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]

    def table(self, output: str) -> Table:
        """Return the table that an output of the stack names."""
        resource = self.session.resource("dynamodb", endpoint_url=self.endpoint_url)
        return resource.Table(self.output(output))

    def resources(self, of: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield the resources of the stack, or of one that is nested in it, as `ListStackResources` returns them."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=of or self.stack)
        for page in pages:
            yield from page["StackResourceSummaries"]

    def output(self, name: str) -> str:
        """Return an output of the stack.

        Raises:
            Problem: It has no output of this name.
        """
        if name not in self.outputs:
            raise Problem(
                f"The stack {self.stack} has no output {name}.", "Check that it is a stack of Logferry's template."
            )
        return self.outputs[name]


def named_region() -> str | None:
    """Return the region that the environment names as the AWS CLI reads it; boto3 alone ignores AWS_REGION."""
    return os.environ.get("AWS_REGION") or None


class NoSuchStackError(Problem):
    """There is no such stack in the region, for this account."""

    def __init__(self, stack: str, region: str | None) -> None:
        super().__init__(
            f"There is no stack {stack} in the region {region}.",
            "Name the stack's region in AWS_REGION, and check its name and the account.",
        )
        self.stack = stack
        self.region = region


def find_deployment(state: Path, stack: str | None) -> Deployment:
    """Return the named stack, or the local cloud's.

    Args:
        state: The state folder of a local cloud.
        stack: The name of a deployed stack; None: the local cloud's.

    Raises:
        Problem: There is none, or AWS refuses.
        LocalCloudError: The state folder cannot be read.
    """
    given: dict[str, Any]
    if stack is None:
        try:
            local = load_state(state)
        except NotRunningError as error:
            raise Problem(
                error.sentence, "Start one with `logferry up`, or name a deployed stack with --stack or LOGFERRY_STACK."
            ) from None
        given = {"aws_access_key_id": local.access_key, "aws_secret_access_key": SECRET_KEY}
        given["region_name"] = local.region
        endpoint_url, stack = local.endpoint_url, local.stack
    else:
        given, endpoint_url = {"region_name": named_region()}, None
    try:
        session = boto3.Session(**given)
        formation = session.client("cloudformation", endpoint_url=endpoint_url)
        described = formation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise NoSuchStackError(stack, session.region_name) from None
        raise Problem(
            f"The stack {stack} cannot be read ({error.response['Error']['Message']}).",
            "Check its name, the region and your AWS credentials.",
        ) from None
    except NoRegionError:
        raise Problem("No AWS region is set.", "Name the stack's in AWS_REGION.") from None
    except BotoCoreError as error:
        raise Problem(f"AWS cannot be reached ({error}).", "Check the region and your AWS credentials.") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
    return Deployment(session, endpoint_url, stack, outputs)
