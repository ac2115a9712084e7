"""Test that what users run is what tests run: samconfig.toml as it is, and a SAM CLI that knows the template."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from logferry_cli.deploy.requirements import LEAST_SAM
from logferry_local import deployment
from logferry_local.aws import LocalAws
from logferry_local.checkout import find_checkout

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]


def test_samconfig_asks_for_both_capabilities() -> None:
    """A transform together with a nested stack may need CAPABILITY_AUTO_EXPAND; the roles need CAPABILITY_IAM."""
    assert CONFIG["deploy"]["parameters"]["capabilities"].split() == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


def test_local_deployment_adds_no_capability_to_samconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a user would lack must be missing in a local cloud, too. Values with spaces reach SAM whole."""
    commands: list[list[str]] = []

    def run(command: list[Any], *_more: Any, **_named: Any) -> None:
        commands.append([str(word) for word in command])

    monkeypatch.setattr(deployment, "_run", run)
    built = tmp_path / "template.yaml"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    deployment.deploy(find_checkout(), built, LocalAws("http://127.0.0.1:1"), {"OidcScope": "openid email"}, tmp_path)
    (command,) = commands
    assert command[command.index("--config-file") + 1] == str(ROOT / "samconfig.toml")
    given = {word for word in command if word.startswith("--")}
    allowed = {"--config-file", "--template-file", "--stack-name", "--region", "--parameter-overrides"}
    assert given - allowed == {"--no-confirm-changeset", "--no-progressbar"}
    assert command[-1] == 'OidcScope="openid email"'


def test_answers_of_a_guided_deployment_stay_out_of_git() -> None:
    """Its default file is tracked, so the comment and docs/deploy.md name another one, which git ignores."""
    name = "samconfig.local.toml"
    ignored = subprocess.run(["git", "check-ignore", "--no-index", "--quiet", name], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    for page in ("samconfig.toml", "docs/deploy.md"):
        assert f"--config-file {name}" in (ROOT / page).read_text(), page


def test_least_sam_cli_is_named_and_not_above_the_locked_one() -> None:
    """1.158.0 is the first with aws-sam-translator 1.109, which brought AWS::Serverless::WebSocketApi.

    https://github.com/aws/aws-sam-cli/pull/8908
    """
    page = (ROOT / "docs" / "deploy.md").read_text()
    (least,) = re.findall(r"SAM CLI (\d+\.\d+\.\d+) or newer", page)
    (locked,) = re.findall(r"(?m)^aws-sam-cli==(\S+)", (ROOT / "requirements" / "sam.in").read_text())
    assert least == "1.158.0" == ".".join(map(str, LEAST_SAM)), "what `logferry deploy` checks"
    assert [int(part) for part in locked.split(".")] >= [int(part) for part in least.split(".")]
