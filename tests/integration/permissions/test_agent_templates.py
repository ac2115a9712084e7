"""Test the launch template of the agent with CloudFormation: what its functions give, and what the instance gets."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.stacks import Stack

pytestmark = pytest.mark.cloud

FOLDER = Path(__file__).parents[3] / "infra" / "agent"
PARAMETERS = {
    "AgentsUrl": "wss://a.execute-api.eu-west-1.amazonaws.com/live",
    "Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/logferry-agent:0.2.0",
    "KeyParameter": "/logferry/key",
}


@pytest.fixture(name="resources")
def _resources(stack: Stack) -> Iterator[dict[str, str]]:
    """Deploy the template and provide physical ids by logical id."""
    formation = stack.client("cloudformation")
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()]
    formation.create_stack(
        StackName="agent-hosts",
        TemplateBody=(FOLDER / "ec2.yaml").read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=parameters,
    )
    formation.get_waiter("stack_create_complete").wait(
        StackName="agent-hosts", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    found = formation.describe_stack_resources(StackName="agent-hosts")["StackResources"]
    yield {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}
    formation.delete_stack(StackName="agent-hosts")


def test_launch_template_starts_hosts_that_may_do_what_their_user_data_does(
    stack: Stack, resources: dict[str, str]
) -> None:
    """The user data is the script, with the parameters in place of its values."""
    versions = stack.client("ec2").describe_launch_template_versions(LaunchTemplateId=resources["Template"])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    user_data = base64.b64decode(data["UserData"]).decode()
    script = (FOLDER / "ec2-user-data.sh").read_text()
    assert script[script.index("# A new instance's role") :] in user_data
    assert user_data.startswith("#!/bin/sh\n")
    values = {"agents_url": "AgentsUrl", "key_parameter": "KeyParameter", "image": "Image"}
    assert all(f"{name}='{PARAMETERS[parameter]}'\n" in user_data for name, parameter in values.items())

    document = stack.client("iam").get_role_policy(RoleName=resources["AgentRole"], PolicyName="start")[
        "PolicyDocument"
    ]
    allowed = [(statement["Action"], statement["Resource"].split(":", 5)[5]) for statement in document["Statement"][1:]]
    assert allowed == [
        (
            ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
            "repository/team/logferry-agent",
        ),
        ("ssm:GetParameter", "parameter/logferry/key"),
    ]
