"""Test how operators' commands find a deployed stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from logferry_cli import deployment
from logferry_cli.problems import Problem


class FakeSession:
    """A session that answers for one stack, and remembers its region."""

    def __init__(self, region_name: str | None = None) -> None:
        self.region_name = region_name

    def client(self, _service: str, endpoint_url: str | None) -> FakeSession:
        assert endpoint_url is None  # so that boto3 takes AWS_ENDPOINT_URL
        return self

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"Stacks": [{"Outputs": [{"OutputKey": "Name", "OutputValue": StackName}]}]}


@pytest.mark.parametrize(("variable", "region"), [("eu-west-3", "eu-west-3"), ("", None), (None, None)])
def test_region_is_that_of_aws_region(
    variable: str | None, region: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """boto3 alone reads AWS_DEFAULT_REGION and the profile only."""
    monkeypatch.setattr("logferry_cli.deployment.boto3.Session", FakeSession)
    monkeypatch.delenv("AWS_REGION", raising=False)
    if variable is not None:
        monkeypatch.setenv("AWS_REGION", variable)
    found = deployment.find_deployment(tmp_path, "logferry")
    assert (found.session.region_name, found.output("Name")) == (region, "logferry")


def test_unknown_profile_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """boto3 looks for it when a session is made."""
    monkeypatch.setenv("AWS_PROFILE", "typo")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Problem, match=r"The config profile .typo. could not be found"):
        deployment.find_deployment(tmp_path, "logferry")
