"""Test that every documented way to run the agent hardens it alike and names existing settings."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import templates
from tests.support.templates import Document, Resolver

from logferry_agent.settings import Settings

FOLDER = Path(__file__).parents[2] / "infra" / "agent"
MOUNTS = {"/var/run/docker.sock": True, "/var/lib/docker/containers": True, "/var/lib/logferry": False}
"""The path in the container, and whether it is read-only."""


def template(name: str) -> Document:
    """Return one of the agent's templates."""
    return templates.load(f"infra/agent/{name}")


def resolved(name: str, parameters: Mapping[str, str]) -> dict[str, Document]:
    """Return the resources of one of the agent's templates, as CloudFormation would create them."""
    return Resolver(template(name), parameters).resources()


def listed(value: Any) -> list[Any]:
    """Return a value that may be a list as a list."""
    return value if isinstance(value, list) else [value]


def docker_run_of(path: Path) -> list[str]:
    """Return the words of the `docker run` in a shell script or a Markdown file."""
    text = path.read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.strip().startswith("docker run --detach"))
    return shlex.split(line)


def volumes(words: list[str]) -> dict[str, bool]:
    """Return the container's side of each `source:target[:ro]`, and whether it is read-only."""
    return {parts[1]: parts[2:] == ["ro"] for word in words if len(parts := word.split(":")) > 1}


@pytest.mark.parametrize("name", ["ec2-user-data.sh", "README.md"])
def test_run_line_drops_every_unneeded_right(name: str) -> None:
    """Capabilities, writing to its file system, new privileges."""
    words = docker_run_of(FOLDER / name)
    pairs = list(pairwise(words))
    assert "--read-only" in words
    assert "--ulimit" not in words, "one above the engine's own hard limit would keep the container from starting"
    assert {("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"), ("--user", "0")} <= set(pairs)
    mounted = volumes([value for option, value in pairs if option == "--volume"])
    assert mounted == {**MOUNTS, "/etc/logferry": True}
    sign_in = "$sign_in" if name.endswith(".sh") else "LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key"
    assert ("--env", sign_in) in pairs


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class Machine:
    """Runs user data with stubs for the programs that need a new machine, in a folder that replaces the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "etc").mkdir()
        self.programs = root / "programs"
        self.programs.mkdir()
        self.stub("dnf", "systemctl", "sleep")
        self.stub("aws", does="echo lfa_x")
        self.stub("curl", does="echo eu-central-1")
        self.stub("docker", does="[ ! -t 0 ] || exit; case $1 in login) cat;; esac")

    def stub(self, *names: str, does: str = "") -> None:
        """Add programs that write their words into `calls`, and then run a script."""
        for name in names:
            path = self.programs / name
            path.write_text(
                f'#!/bin/sh\nfor word in {name} "$@"; do printf "%s\\0" "$word"; done >>{self.root}/calls\n'
            )
            path.write_text(f"{path.read_text()}printf '\\n' >>{self.root}/calls\n{does}\n")
            path.chmod(0o755)

    def run(self, script: str) -> list[list[str]]:
        """Run a script, and return the words of every call."""
        for place in ("/etc/logferry", "/var/lib/logferry", "/etc/docker"):
            script = re.sub(rf"(?<=[ >]){place}", f"{self.root}{place}", script)
        (self.root / "calls").write_text("")
        path = f"{self.programs}:/usr/bin:/bin"
        subprocess.run(["sh", "-c", script], check=True, env={"PATH": path}, stdout=subprocess.PIPE, timeout=60)
        return [call.rstrip("\0").split("\0") for call in (self.root / "calls").read_text().splitlines()]


def user_data_of(
    source: str, parameter: str, image: str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/agent:1"
) -> str:
    """Return the user data as the script's reader or CloudFormation fills it in."""
    values = {
        "AgentsUrl": "wss://a.execute-api.eu-west-1.amazonaws.com/live",
        "KeyParameter": parameter,
        "Image": image,
    }
    if source == "ec2.yaml":
        launch = resolved("ec2.yaml", values)["Template"]["Properties"]["LaunchTemplateData"]
        return str(launch["UserData"])
    script = (FOLDER / source).read_text().replace("key_parameter=''", f"key_parameter='{parameter}'")
    script = re.sub("agents_url='.*'", f"agents_url='{values['AgentsUrl']}'", script)
    return re.sub("image='.*'", f"image='{image}'", script)


@pytest.mark.parametrize("source", ["ec2-user-data.sh", "ec2.yaml"])
@pytest.mark.parametrize(
    ("parameter", "sign_in", "stored"),
    [
        ("", "LOGFERRY_AWS_IDENTITY=true", None),
        ("/logferry/key", "LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key", "lfa_x\n"),
    ],
)
def test_user_data_signs_in_by_role_or_by_parameter_store_key(
    source: str, parameter: str, sign_in: str, stored: str | None, machine: Machine
) -> None:
    """The script itself runs, and the launch template has the same."""
    calls = machine.run(user_data_of(source, parameter))
    run = next(call for call in calls if call[:2] == ["docker", "run"])
    assert ("--env", sign_in) in list(pairwise(run))
    assert ("--env", "LOGFERRY_AGENTS_URL=wss://a.execute-api.eu-west-1.amazonaws.com/live") in list(pairwise(run))
    key = machine.root / "etc/logferry/agent-key"
    assert (key.read_text() if key.exists() else None) == stored
    assert stored is None or key.stat().st_mode & 0o077 == 0
    asked = [call for call in calls if call[:3] == ["aws", "ssm", "get-parameter"]]
    assert all(("--region", "eu-central-1") in list(pairwise(call)) for call in asked), "the instance's own region"
    assert len(asked) == (stored is not None)


@pytest.mark.parametrize("source", ["ec2-user-data.sh", "ec2.yaml"])
def test_user_data_waits_for_the_role_of_a_new_instance(source: str, machine: Machine) -> None:
    """IAM may hand credentials out only some seconds after the boot."""
    tries = machine.root / "tries"
    machine.stub("aws", does=f"echo >>{tries}; [ $(wc -l <{tries}) -gt 2 ] && echo password")
    calls = machine.run(user_data_of(source, ""))
    assert [call for call in calls if call[0] == "sleep"] == [["sleep", "2"], ["sleep", "4"]]
    names = [call[1] for call in calls if call[0] == "docker"]
    assert names == ["login", "pull", "rm", "run"]


def test_user_data_pulls_from_other_registries_without_a_login(machine: Machine) -> None:
    """Only ECR's registries take the role."""
    calls = machine.run(user_data_of("ec2.yaml", "", image="registry.example/logferry-agent:1"))
    assert [call[1] for call in calls if call[0] == "docker"] == ["pull", "rm", "run"]
    assert not any(call[0] == "aws" for call in calls)


def test_user_data_fits_into_an_instance() -> None:
    """EC2 takes 16 KiB."""
    assert len(user_data_of("ec2.yaml", "/p" * 500).encode()) < 16_384


PULL = {"ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"}


@pytest.mark.parametrize(("name", "role"), [("ecs.yaml", "ExecutionRole"), ("ec2.yaml", "AgentRole")])
@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/logferry-agent:0.2.0", "logferry-agent"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/logs/agent@sha256:0a", "team/logs/agent"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/agent:1", "team/agent"),
        ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/agent", "agent"),
        ("registry.example:5000/agent:1", "none"),
    ],
)
def test_role_may_pull_the_image_and_nothing_else_from_ecr(name: str, role: str, image: str, repository: str) -> None:
    """ECS pulls with the execution role, and user data with the instance's."""
    (policy,) = resolved(name, {"Image": image})[role]["Properties"]["Policies"]
    allowed = {
        (action, statement["Resource"])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        if action.startswith("ecr:")
    }
    resource = f"arn:aws:ecr:*:*:repository/{repository}"
    assert allowed == {("ecr:GetAuthorizationToken", "*")} | {(action, resource) for action in PULL}


def test_launch_template_gives_containers_the_role_and_nobody_the_first_metadata_version() -> None:
    """A hop limit of 1 would end at the instance."""
    data = template("ec2.yaml")["Resources"]["Template"]["Properties"]["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}


def test_compose_file_hardens_alike() -> None:
    """It takes the key from a secret's file."""
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["logferry-agent"]
    assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], "0")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert volumes(service["volumes"]) == MOUNTS


def test_daemon_service_hardens_alike() -> None:
    """On every instance of the cluster, and never two agents on one engine."""
    resources = template("ecs.yaml")["Resources"]
    (agent,) = resources["Task"]["Properties"]["ContainerDefinitions"]
    assert (agent["ReadonlyRootFilesystem"], agent["User"]) == (True, "0")
    assert agent["DockerSecurityOptions"] == ["no-new-privileges"]
    assert agent["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}
    assert {mount["ContainerPath"]: mount.get("ReadOnly", False) for mount in agent["MountPoints"]} == MOUNTS
    assert agent["Secrets"]["Fn::If"][0] == "HasKey"
    (without_key,) = resolved("ecs.yaml", {})["Task"]["Properties"]["ContainerDefinitions"]
    assert {"Name": "LOGFERRY_AWS_IDENTITY", "Value": "true"} in without_key["Environment"]
    assert agent["Ulimits"] == [{"Name": "nofile", "SoftLimit": 65_536, "HardLimit": 65_536}]
    assert "health --live" in agent["HealthCheck"]["Command"][1], (
        "ECS must not replace an agent whose role is not mapped yet"
    )
    assert resources["Task"]["Properties"]["TaskRoleArn"] == {"Fn::GetAtt": "AgentRole.Arn"}
    assert "Policies" not in resources["AgentRole"]["Properties"], "it may do nothing"
    service = resources["Service"]["Properties"]
    assert service["SchedulingStrategy"] == "DAEMON"
    deployment = service["DeploymentConfiguration"]
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (0, 100)
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize(
    "path",
    sorted(path for ending in ("md", "yaml", "sh") for path in FOLDER.glob(f"*.{ending}")),
    ids=lambda path: path.name,
)
def test_examples_name_only_existing_settings(path: Path) -> None:
    """A renamed setting must not stay in an example."""
    known = {f"LOGFERRY_{name.upper()}" for name in Settings.model_fields} | {"LOGFERRY_IMAGE"}
    assert set(re.findall(r"LOGFERRY_[A-Z_]+", path.read_text())) <= known


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_valid_for_sh(path: Path) -> None:
    """The machine's own `sh` parses them."""
    subprocess.run(["sh", "-n", path], check=True)
