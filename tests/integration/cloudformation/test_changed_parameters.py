"""Test that a changed parameter of a deployed stack takes effect, through the real SAM CLI.

The stack is the one for AWS (no `GatewayBase`), with the function that publishes the viewer. Left out is what an
emulator does not know (route responses, alarms on expressions), or what refuses it (the rule for runtimes, the buckets'
policies).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import clouds, templates

from logferry_local import deployment
from logferry_local.aws import LocalAws
from logferry_local.checkout import find_checkout
from logferry_local.deployment import STACK

pytestmark = [pytest.mark.cloud, pytest.mark.slow]


@dataclass(frozen=True)
class Deployment:
    """A built template, and where it is deployed."""

    aws: LocalAws
    built: Path
    folder: Path
    target: deployment.Target

    def deploy(self, **parameters: str) -> dict[str, str]:
        """Deploy with these parameters, unattended, and return the stack's outputs."""
        given = {**deployment.parameters_of(self.target), **parameters}
        deployment.deploy(find_checkout(), self.built, self.aws, given, self.folder)
        return deployment.outputs(self.aws)

    def config(self, outputs: dict[str, str]) -> Any:
        """Return what the viewer's bucket has as /config.json."""
        stored = self.aws.client("s3").get_object(Bucket=outputs["ViewerBucket"], Key="config.json")
        return json.loads(stored["Body"].read())


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Provide the template as it is built for AWS, with a viewer of one page, and an emulator."""
    checkout = find_checkout()
    target = deployment.this_machine(checkout)
    original, _ = deployment.build(checkout, target, tmp_path / "build.log")
    built = tmp_path / "out" / "template.yaml"
    shutil.copytree(original.parent, built.parent, copy_function=os.link)
    built.unlink()
    document = templates.parse(original.read_text())
    resources = document["Resources"]
    document.pop("Rules", None)
    resources["Watch"]["Properties"]["Parameters"]["Expressions"] = "off"
    left_out = {"AWS::ApiGatewayV2::RouteResponse", "AWS::S3::BucketPolicy"}
    document["Resources"] = {name: one for name, one in resources.items() if one["Type"] not in left_out}
    built.write_text(yaml.safe_dump(document))
    page = built.parent / "Publish" / "viewer" / "index.html"
    page.parent.mkdir(exist_ok=True)
    page.unlink(missing_ok=True)
    page.write_text("<!doctype html>")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")  # LocalAws sets it, and other tests must not find it
    with clouds.ministack() as address:
        yield Deployment(LocalAws(address), built, tmp_path, target)


def test_changed_parameters_take_effect(stack: Deployment) -> None:
    """First what /config.json says, then a parameter that only adds resources, then the end of the stack."""
    outputs = stack.deploy()
    assert stack.config(outputs)["auth"] == {"kind": "key"}

    outputs = stack.deploy(OidcIssuer="https://issuer.example", OidcClientId="viewer", OidcScope="openid email")
    assert stack.config(outputs)["auth"] == {
        "kind": "oidc",
        "issuer": "https://issuer.example",
        "client_id": "viewer",
        "scope": "openid email",
        "token": "access",
    }

    cloudwatch = stack.aws.client("cloudwatch")
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
    stack.deploy(Monitoring="on")  # all other parameters keep their values
    assert cloudwatch.describe_alarms()["MetricAlarms"]

    s3 = stack.aws.client("s3")
    s3.put_object(Bucket=outputs["FailureBucket"], Key="aws/lambda/async/archive/x", Body=b"")
    cloudformation = stack.aws.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    kept = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert outputs["ArchiveBucket"] in kept
    assert not {outputs["FailureBucket"], outputs["ViewerBucket"]} & kept
