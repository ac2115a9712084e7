"""Deploy the whole template onto a private MiniStack, with the emulator enforcing the roles."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logferry_local import deployment
from logferry_local.aws import LocalAws
from logferry_local.checkout import find_checkout
from logferry_local.deployment import STACK

__all__ = ["STACK", "Stack", "stack"]


@dataclass(frozen=True)
class Stack:
    """A deployed stack, and clients that are its root."""

    aws: LocalAws
    outputs: dict[str, str]
    physical: dict[str, str]
    """Physical ids by logical id."""

    def client(self, service: str) -> Any:
        return self.aws.client(service)


@contextlib.contextmanager
def stack(address: str, folder: Path, **more: str) -> Iterator[Stack]:
    """Run `sam build` and `sam deploy` as `logferry up` does; `more` are parameters of the template."""
    before = os.environ.get("AWS_ENDPOINT_URL")
    checkout = find_checkout()
    target = deployment.this_machine(checkout)
    aws = LocalAws(address)
    try:
        built, _ = deployment.build(checkout, target, folder / "build.log")
        parameters = {
            **deployment.parameters_of(target),
            "GatewayBase": f"{address}/_aws/execute-api",
            "ViewerOrigins": "http://127.0.0.1:1",
            **more,
        }
        deployment.deploy(checkout, built, aws, parameters, folder)
        resources = aws.client("cloudformation").get_paginator("list_stack_resources")
        physical = {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for page in resources.paginate(StackName=deployment.STACK)
            for one in page["StackResourceSummaries"]
        }
        yield Stack(aws, deployment.outputs(aws), physical)
    finally:
        # LocalAws leaves its address in the environment, where other tests' clients would find it.
        if before is None:
            os.environ.pop("AWS_ENDPOINT_URL", None)
        else:
            os.environ["AWS_ENDPOINT_URL"] = before
