"""Test that CloudFormation refuses what cannot work before it creates anything, and keeps nothing of a failed start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support import clouds
from tests.support.templates import Resolver, load

from logferry_local.polling import wait_until

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(120)]

KEPT = ("LogTable", "RegistryTable", "ArchiveBucket")


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """Provide the address of an emulator."""
    with clouds.ministack() as url:
        yield url


def client(service: str, emulator: str, region: str = clouds.REGION) -> Any:
    session: Any = boto3.Session()
    return session.client(service, endpoint_url=emulator, **clouds.SECRETS | {"region_name": region})


@pytest.mark.parametrize(
    ("region", "parameters", "reason"),
    [
        ("us-gov-west-1", {}, "Deploy with ViewerHosting=api"),
        ("cn-north-1", {}, "Deploy with ViewerHosting=api"),
        ("us-gov-west-1", {"ViewerHosting": "api"}, None),
        ("eu-west-1", {"PythonRuntime": "python3.11"}, "must be python3.12 or newer"),
        ("eu-west-1", {"PythonRuntime": "python3.9"}, "PythonRuntime"),
        ("eu-west-1", {}, None),
    ],
)
def test_rules_refuse_what_cannot_work(
    emulator: str, region: str, parameters: dict[str, str], reason: str | None
) -> None:
    """With the template's own parameters and rules, and the reason in the answer."""
    template = load("template.yaml")
    body = {
        **{name: template[name] for name in ("Parameters", "Rules")},
        "Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
    }
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    names = {"StackName": f"rules-{len(given)}-{region}", "ChangeSetName": "first", "ChangeSetType": "CREATE"}
    change = {**names, "TemplateBody": json.dumps(body), "Parameters": given}
    if reason is None:
        client("cloudformation", emulator, region).create_change_set(**change)
        return
    with pytest.raises(ClientError, match=reason):
        client("cloudformation", emulator, region).create_change_set(**change)


def test_first_deployment_that_fails_leaves_no_data_behind(emulator: str) -> None:
    """Tables and the archive stay when a stack is deleted, but not when its creation fails."""
    resources = Resolver(load("template.yaml"), {}).resources()
    failing = {
        "Type": "AWS::CloudFormation::Stack",
        "DependsOn": list(KEPT),
        "Properties": {"TemplateURL": "https://s3.amazonaws.com/missing/missing"},
    }
    body = {"Resources": {**{name: resources[name] for name in KEPT}, "Failing": failing}}
    formation = client("cloudformation", emulator)
    formation.create_stack(StackName="failing", TemplateBody=json.dumps(body))

    def status() -> str:
        return str(formation.describe_stacks(StackName="failing")["Stacks"][0]["StackStatus"])

    wait_until(lambda: not status().endswith("IN_PROGRESS"), timeout_s=60)
    assert status() == "ROLLBACK_COMPLETE"
    events = formation.describe_stack_events(StackName="failing")["StackEvents"]
    created = {one["LogicalResourceId"] for one in events if one["ResourceStatus"] == "CREATE_COMPLETE"}
    assert created >= set(KEPT)
    assert client("dynamodb", emulator).list_tables()["TableNames"] == []
    assert client("s3", emulator).list_buckets()["Buckets"] == []
