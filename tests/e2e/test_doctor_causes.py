"""Test that `logferry doctor` names the cause when something of a deployed stack is broken."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from tests.e2e.conftest import Cloud
from tests.e2e.test_doctor import client, physical

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


def diagnosis(cloud: Cloud, *words: str, **environment: str) -> dict[str, str]:
    """Return what each failed check says. The command must fail."""
    done = cloud.logferry("doctor", "--json", "--patience", "60", *words, check=False, **environment)
    assert done.returncode == 1
    return {leg["name"]: leg["detail"] for leg in json.loads(done.stdout) if leg["outcome"] == "failed"}


def test_revoked_key_is_named_with_its_day(cloud: Cloud) -> None:
    """The API says only that the key is refused; the registry knows why."""
    key = cloud.logferry("keys", "create", "viewer", "key-leaver").stdout.decode().split()
    secret = next(word for word in key if word.startswith("lfv_"))
    credential = secret.split("_")[1]
    cloud.logferry("keys", "revoke", credential)
    found = diagnosis(cloud, LOGFERRY_VIEWER_KEY=secret)
    assert set(found) == {"HTTP API and viewer key", "viewer key in the registry"}
    assert f"The key {credential} of key-leaver was revoked on " in found["viewer key in the registry"]
    assert "logferry keys create viewer" in found["viewer key in the registry"]


def test_throttled_table_is_named(cloud: Cloud) -> None:
    """CloudWatch counts what DynamoDB refused. The emulator counts nothing, so the test does."""
    metrics = client(cloud, "cloudwatch")

    def refused(count: int) -> None:
        dimensions = [{"Name": "TableName", "Value": cloud.state.tables.log}]
        data = [{"MetricName": "WriteThrottleEvents", "Dimensions": dimensions, "Value": count, "Unit": "Count"}]
        metrics.put_metric_data(Namespace="AWS/DynamoDB", MetricData=data)

    refused(42)
    try:
        found = diagnosis(cloud)
    finally:
        refused(-42)  # nothing deletes a metric; the sum is what counts
    assert set(found) == {"throttling"}
    assert found["throttling"].startswith("DynamoDB throttles the LogTable: it refused 42 writes")


@pytest.mark.parametrize(
    ("addresses", "cause"),
    [
        ((), "There is no stack logferry in the region eu-west-1."),
        (
            ("--viewers-url", "wss://abc123.execute-api.us-east-1.amazonaws.com/live"),
            "The region is wrong: the given addresses are in us-east-1, and eu-west-1 has no such stack."
            " Set AWS_REGION=us-east-1.",
        ),
    ],
    ids=["region unknown", "region in an address"],
)
def test_wrong_region_is_named(cloud: Cloud, addresses: tuple[str, ...], cause: str) -> None:
    """An address of API Gateway's own tells the right one."""
    found = diagnosis(
        cloud, "--stack", cloud.state.stack, *addresses,
        AWS_REGION="eu-west-1", AWS_ENDPOINT_URL=cloud.state.endpoint_url,
        AWS_ACCESS_KEY_ID=cloud.state.access_key, AWS_SECRET_ACCESS_KEY="test",
    )  # fmt: skip
    assert found["stack"].startswith(cause)


def test_missing_route_response_is_named(cloud: Cloud) -> None:
    """A local cloud has none at all; one that has some, and not all, is broken."""
    gateway = client(cloud, "apigatewayv2")
    made: list[dict[str, Any]] = []
    for output in ("Agents", "Viewers"):
        api = physical(cloud, output)
        for route in gateway.get_routes(ApiId=api)["Items"]:
            if route.get("RouteResponseSelectionExpression") and (output, route["RouteKey"]) != ("Agents", "ingest"):
                place = {"ApiId": api, "RouteId": route["RouteId"]}
                response = gateway.create_route_response(**place, RouteResponseKey="$default")
                made.append({**place, "RouteResponseId": response["RouteResponseId"]})
    try:
        found = diagnosis(cloud)
    finally:
        for one in made:
            gateway.delete_route_response(**one)
    assert set(found) == {"route responses"}
    assert "The route ingest of the agents' API has no route response" in found["route responses"]


def test_function_that_may_not_be_invoked_is_named_and_the_advice_repairs_it(cloud: Cloud) -> None:
    """API Gateway's call is refused for want of a permission, so the HTTP API answers 500."""
    functions, query = client(cloud, "lambda"), physical(cloud, "Query")
    [statement] = json.loads(functions.get_policy(FunctionName=query)["Policy"])["Statement"]
    functions.remove_permission(FunctionName=query, StatementId=statement["Sid"])
    cloud.gateway.read_policies()
    words: dict[str, str] = {}
    try:
        found = diagnosis(cloud)
        assert set(found) == {"HTTP API and viewer key", "permission to invoke"}
        assert f"API Gateway may not invoke the function {query} for the route ANY" in found["permission to invoke"]
        command = shlex.split(found["permission to invoke"].split("`")[-2])
        assert command[:3] == ["aws", "lambda", "add-permission"]
        words = dict(zip(command[3::2], command[4::2], strict=True))
    finally:
        source = statement["Condition"]["ArnLike"]["AWS:SourceArn"]
        functions.add_permission(
            FunctionName=words.get("--function-name", query),
            StatementId=words.get("--statement-id", statement["Sid"]),
            Action=words.get("--action", statement["Action"]),
            Principal=words.get("--principal", "apigateway.amazonaws.com"),
            SourceArn=words.get("--source-arn", source),
        )
        cloud.gateway.read_policies()
    assert cloud.logferry("doctor", "--patience", "60").returncode == 0


def test_function_that_may_not_run_is_named(cloud: Cloud) -> None:
    """Somebody stopped it by reserving no concurrency for it."""
    functions, broadcast = client(cloud, "lambda"), physical(cloud, "Broadcast")
    functions.put_function_concurrency(FunctionName=broadcast, ReservedConcurrentExecutions=0)
    try:
        found = diagnosis(cloud)
    finally:
        functions.delete_function_concurrency(FunctionName=broadcast)
    assert set(found) == {"functions"}
    assert f"The function {broadcast} cannot run: its reserved concurrency is 0." in found["functions"]
