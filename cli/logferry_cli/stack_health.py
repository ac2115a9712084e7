"""Check what AWS has deployed: tables and their streams, functions, who may invoke them, and what was throttled.

These are checks of `logferry doctor`. They read with the operator's AWS credentials. Each returns what it found, or
raises Problem with the cause and what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from logferry_cli.checkup import WarningError
from logferry_cli.cloudwatch_metrics import MINUTE, Metric, read_metrics
from logferry_cli.deployment import Deployment
from logferry_cli.invocations import Invocation, function_arn, invocations_of, permits
from logferry_cli.problems import Problem

APIS: Final = {"AgentsApi": "agents' API", "ViewersApi": "viewers' API", "HttpApi": "HTTP API"}
"""The outputs that name an API, and the API's name for people."""

THROTTLED_MINUTES: Final = 15
_ON_AWS: Final = re.compile(r"\.(amazonaws\.com(\.cn)?|api\.aws)$")
SMALL_ACCOUNT: Final = 100
"""New accounts may run fewer functions at once than this; the default is 1,000."""


def table_state(deployment: Deployment, output: str) -> str:
    """Check a table, its stream, and that a function reads the stream."""
    table = deployment.client("dynamodb").describe_table(TableName=deployment.output(output))["Table"]
    if table["TableStatus"] not in {"ACTIVE", "UPDATING"}:
        raise Problem(f"The table is {table['TableStatus']}.")
    stream = table.get("LatestStreamArn")
    if not stream or not table.get("StreamSpecification", {}).get("StreamEnabled"):
        raise Problem("The table has no stream, so nothing is broadcast.")
    mappings = deployment.client("lambda").list_event_source_mappings(EventSourceArn=stream)["EventSourceMappings"]
    states = [mapping.get("State", "?") for mapping in mappings]
    if "Enabled" in states:
        return f"{table['TableStatus'].lower()}, its stream is read"
    sentence = (
        f"Broadcast is stopped: no function reads the table's stream (mappings: {', '.join(states) or 'none'}). Viewers"
        " see new lines only after a reload."
    )
    if not mappings:
        raise Problem(sentence)
    raise Problem(
        sentence, f"Enable it: `aws lambda update-event-source-mapping --enabled --uuid {mappings[0]['UUID']}`."
    )


def functions_state(deployment: Deployment) -> str:
    """Check that each function of the stack is active and may run."""
    functions = deployment.client("lambda")
    names = list(_functions(deployment))
    for name in names:
        found = functions.get_function_configuration(FunctionName=name)
        for field, reason in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
            if found.get(field) == "Failed":
                why = found.get(reason) or "no reason given"
                raise Problem(f"The function {name} cannot run: {why}.", "Deploy the stack again.")
        if functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions") == 0:
            raise Problem(
                f"The function {name} cannot run: its reserved concurrency is 0.",
                f"Remove it: `aws lambda delete-function-concurrency --function-name {name}`.",
            )
    return f"{len(names)} functions are active"


def invocable(deployment: Deployment) -> str:
    """Check that API Gateway may invoke the function behind each route and authorizer."""
    count = 0
    policies: dict[str, dict[str, Any]] = {}
    for output, name in APIS.items():
        for invocation in _invocations(deployment, output):
            count += 1
            if invocation.function not in policies:
                policies[invocation.function] = _policy(deployment, invocation.function)
            if not all(permits(policies[invocation.function], source) for source in invocation.sources):
                raise Problem(
                    f"API Gateway may not invoke the function {function_name(invocation.function)} for"
                    f" {invocation.what} of the {name}, so clients get 500 or `Internal server error`.",
                    "Allow it: `aws lambda add-permission --action lambda:InvokeFunction --principal"
                    f" apigateway.amazonaws.com --statement-id doctor-{count} --function-name"
                    f" {function_name(invocation.function)} --source-arn '{invocation.permission}'`.",
                )
    return f"API Gateway may invoke them for all {count} routes and authorizers"


def route_responses(deployment: Deployment) -> str:
    """Check that each route with an answer has a route response: without one, API Gateway drops the answer."""
    gateway = deployment.client("apigatewayv2")
    missing, there = [], 0
    for output in ("AgentsApi", "ViewersApi"):
        api = deployment.output(output)
        for route in _pages(gateway, "get_routes", ApiId=api):
            if not route.get("RouteResponseSelectionExpression"):
                continue
            if list(_pages(gateway, "get_route_responses", ApiId=api, RouteId=route["RouteId"])):
                there += 1
            else:
                missing.append((APIS[output], api, route))
    if missing and not there and not _ON_AWS.search(urlsplit(gateway.meta.endpoint_url).hostname or ""):
        return "a local cloud sends every answer without them"
    if missing:
        name, api, route = missing[0]
        more = f" ({len(missing)} routes lack one)" if len(missing) > 1 else ""
        raise Problem(
            f"The route {route['RouteKey']} of the {name} has no route response{more}, so API Gateway drops the"
            " function's answers and clients wait in vain.",
            f"Create it: `aws apigatewayv2 create-route-response --api-id {api} --route-id {route['RouteId']}"
            " --route-response-key '$default'`, or deploy the stack again.",
        )
    return f"{there} routes answer"


def throttles(deployment: Deployment) -> str:
    """Check that neither table and no function was throttled in the last minutes."""
    end = datetime.now(UTC)
    metrics = {
        Metric("AWS/DynamoDB", name, (("TableName", deployment.output(table)),), period=MINUTE): table
        for table in ("LogTable", "RegistryTable")
        for name in ("WriteThrottleEvents", "ReadThrottleEvents")
    }
    for name in _functions(deployment):
        metrics[Metric("AWS/Lambda", "Throttles", (("FunctionName", name),), period=MINUTE)] = name
    start = end - timedelta(minutes=THROTTLED_MINUTES)
    values = read_metrics(deployment.client("cloudwatch"), metrics, start, end)
    for metric, which in metrics.items():
        if not (count := round(values.total(metric) or 0)):
            continue
        if metric.namespace == "AWS/Lambda":
            raise Problem(
                f"Lambda refused {count:,} calls of the function {which} in the last {THROTTLED_MINUTES} minutes,"
                " because too many functions of the account ran at once.",
                "Ask AWS for more concurrent executions (Service Quotas, Lambda).",
            )
        calls = "writes" if metric.name.startswith("Write") else "reads"
        raise Problem(
            f"DynamoDB throttles the {which}: it refused {count:,} {calls} in the last {THROTTLED_MINUTES} minutes.",
            THROTTLED,
        )
    return f"nothing was throttled in the last {THROTTLED_MINUTES} minutes"


THROTTLED: Final = (
    "Lines wait on their hosts and are not lost. If it lasts, one job writes more than a table's partition takes"
    " (about 1,000 KB a second): set a rate limit for it."
)


def concurrency(deployment: Deployment) -> str:
    """Check how many functions the account may run at once: new accounts may run few."""
    limits = deployment.client("lambda").get_account_settings()["AccountLimit"]
    most = limits.get("ConcurrentExecutions")
    if most is None:
        raise WarningError("unknown: AWS does not say how many functions may run at once")
    if most < SMALL_ACCOUNT:
        raise WarningError(
            f"The account may run only {most:,} functions at once, so readers and agents may be refused under load: ask"
            " AWS for more (Service Quotas, Lambda, concurrent executions)."
        )
    return f"{most:,} may run at once"


def function_name(arn: str) -> str:
    """Return the name in a function's ARN."""
    return arn.split(":")[6]


def _functions(deployment: Deployment) -> Iterator[str]:
    for resource in deployment.resources():
        if resource["ResourceType"] == "AWS::Lambda::Function":
            yield str(resource["PhysicalResourceId"])


def _invocations(deployment: Deployment, output: str) -> Iterator[Invocation]:
    gateway, api = deployment.client("apigatewayv2"), deployment.output(output)
    integrations = {
        f"integrations/{one['IntegrationId']}": function_arn(one.get("IntegrationUri", ""))
        for one in _pages(gateway, "get_integrations", ApiId=api)
    }
    authorizers = {
        one["AuthorizerId"]: function_arn(one.get("AuthorizerUri", ""))
        for one in _pages(gateway, "get_authorizers", ApiId=api)
    }
    stages = [one["StageName"] for one in _pages(gateway, "get_stages", ApiId=api)]
    routes = {
        one["RouteKey"]: integrations.get(one.get("Target", "")) for one in _pages(gateway, "get_routes", ApiId=api)
    }
    yield from invocations_of(api, stages, routes, authorizers)


def _policy(deployment: Deployment, function: str) -> dict[str, Any]:
    try:
        return dict(json.loads(deployment.client("lambda").get_policy(FunctionName=function)["Policy"]))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return {}
        raise


def _pages(client: Any, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield the items of every page. botocore has no paginator for some of these operations."""
    while True:
        page = getattr(client, operation)(**arguments)
        yield from page["Items"]
        if not page.get("NextToken"):
            return
        arguments["NextToken"] = page["NextToken"]
