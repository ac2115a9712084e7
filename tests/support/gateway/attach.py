"""Attach a gateway to a stack in the local cloud: look up its names, and point its functions here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
from tests.support.gateway.clock import Clock
from tests.support.gateway.events import REGION
from tests.support.gateway.faults import Faults
from tests.support.gateway.functions import EmulatorFunctions
from tests.support.gateway.gateway import BASE, StrictGateway
from tests.support.gateway.http_api import functions_called_by, http_apis_of
from tests.support.gateway.limits import Limits
from tests.support.gateway.template import apis_of, load_template

STACK = "logferry"
EMULATED_TIMEOUT_S = 29
"""The emulator counts a cold start into a function's timeout, which Lambda does not. Busy machines need all of it."""
TABLES_ENDPOINT = "AWS_ENDPOINT_URL_DYNAMODB"


def _client(service: str, upstream: str, access_key: str) -> Any:
    session: Any = boto3.Session()  # the type stubs require each service's name as a literal
    return session.client(
        service, endpoint_url=upstream, region_name=REGION, aws_access_key_id=access_key, aws_secret_access_key="test"
    )


@asynccontextmanager
async def attached_gateway(
    upstream: str,
    template: Path,
    *,
    access_key: str = "test",
    stack: str = STACK,
    limits: Limits | None = None,
    faults: Faults | None = None,
    clock: Clock | None = None,
    seed: int = 0,
    port: int = 0,
    tables: bool = False,
) -> AsyncIterator[StrictGateway]:
    """Run a gateway in front of a deployed stack; point the functions back at the end.

    `access_key`: the emulator's root. `tables`: their DynamoDB calls come here too.
    """
    resources = _client("cloudformation", upstream, access_key).describe_stack_resources(StackName=stack)[
        "StackResources"
    ]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    limits = limits or Limits()
    document = load_template(template)
    apis, http = apis_of(document), http_apis_of(document, names)
    called = functions_called_by(apis, http)
    async with (
        EmulatorFunctions(upstream, names, called, concurrency=limits.concurrency, key=access_key) as functions,
        StrictGateway(
            apis,
            functions,
            ids=names,
            http=http,
            upstream=upstream,
            limits=limits,
            faults=faults,
            clock=clock,
            seed=seed,
            port=port,
        ) as gateway,
    ):
        types = {resource["LogicalResourceId"]: resource["ResourceType"] for resource in resources}
        functions_there = [names[name] for name, kind in types.items() if kind == "AWS::Lambda::Function"]
        with repointed(_client("lambda", upstream, access_key), functions_there, gateway.url, tables=tables):
            yield gateway


@contextmanager
def repointed(client: Any, functions: list[str], gateway_url: str, *, tables: bool = False) -> Iterator[None]:
    """Point the functions' management endpoints to the gateway; restore them at the end."""
    before = {}
    for name in functions:
        found = client.get_function_configuration(FunctionName=name)
        variables = found.get("Environment", {}).get("Variables", {})
        changed = {
            key: re.sub(rf"^https?://[^/]+{BASE}", f"{gateway_url}{BASE}", value) for key, value in variables.items()
        }
        if tables:
            changed[TABLES_ENDPOINT] = gateway_url
        if changed != variables:
            before[name] = (variables, found["Timeout"])
            client.update_function_configuration(
                FunctionName=name, Environment={"Variables": changed}, Timeout=EMULATED_TIMEOUT_S
            )
    try:
        yield
    finally:
        for name, (variables, timeout_s) in before.items():
            client.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables}, Timeout=timeout_s
            )
