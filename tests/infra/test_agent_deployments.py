"""Test that every documented way to run the agent hardens it alike and names existing settings."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from logferry_agent.settings import Settings

FOLDER = Path(__file__).parents[2] / "infra" / "agent"
MOUNTS = {"/var/run/docker.sock": True, "/var/lib/docker/containers": True, "/var/lib/logferry": False}
"""The path in the container, and whether it is read-only."""


class _Loader(yaml.SafeLoader):
    """Read CloudFormation's short forms as the functions that they abbreviate."""


def _short_form(loader: Any, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return {suffix: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


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
    assert {("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"), ("--user", "0")} <= set(pairs)
    mounted = volumes([value for option, value in pairs if option == "--volume"])
    assert mounted == {**MOUNTS, "/etc/logferry": True}
    sign_in = "$sign_in" if name.endswith(".sh") else "LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key"
    assert ("--env", sign_in) in pairs


@pytest.mark.parametrize(
    ("parameter", "sign_in", "stored"),
    [
        ("", "LOGFERRY_AWS_IDENTITY=true", None),
        ("/logferry/key", "LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key", "lfa_x\n"),
    ],
)
def test_user_data_signs_in_by_role_or_by_parameter_store_key(
    parameter: str, sign_in: str, stored: str | None, tmp_path: Path
) -> None:
    """The script itself runs, with stubs for what it calls, in a folder that replaces the root."""
    script = (FOLDER / "ec2-user-data.sh").read_text().replace("key_parameter=''", f"key_parameter='{parameter}'")
    (tmp_path / "etc").mkdir()
    for place in ("/etc/logferry", "/var/lib/logferry", "/etc/docker"):
        script = script.replace(f" {place}", f" {tmp_path}{place}").replace(f">{place}", f">{tmp_path}{place}")
    programs = tmp_path / "programs"
    programs.mkdir()
    calls = {"dnf": "", "systemctl": "", "aws": "echo lfa_x", "docker": f'printf "%s\\n" "$@" >>{tmp_path}/docker'}
    for program, does in calls.items():
        (programs / program).write_text(f"#!/bin/sh\n{does}\n")
        (programs / program).chmod(0o755)
    path = f"{programs}:/usr/bin:/bin"
    subprocess.run(["sh", "-c", script], check=True, env={"PATH": path}, stdout=subprocess.PIPE)
    words = (tmp_path / "docker").read_text().splitlines()
    assert ("--env", sign_in) in list(pairwise(words))
    key = tmp_path / "etc/logferry/agent-key"
    assert (key.read_text() if key.exists() else None) == stored
    assert stored is None or key.stat().st_mode & 0o077 == 0


def test_compose_file_hardens_alike() -> None:
    """It takes the key from a secret's file."""
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["logferry-agent"]
    assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], "0")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert volumes(service["volumes"]) == MOUNTS


def test_daemon_service_hardens_alike() -> None:
    """On every instance of the cluster, and never two agents on one engine."""
    resources: dict[str, Any] = yaml.load((FOLDER / "ecs.yaml").read_text(), _Loader)["Resources"]
    (agent,) = resources["Task"]["Properties"]["ContainerDefinitions"]
    assert (agent["ReadonlyRootFilesystem"], agent["User"]) == (True, "0")
    assert agent["DockerSecurityOptions"] == ["no-new-privileges"]
    assert agent["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}
    assert {mount["ContainerPath"]: mount.get("ReadOnly", False) for mount in agent["MountPoints"]} == MOUNTS
    assert agent["Secrets"]["If"][0] == "HasKey"
    assert {"If": ["HasKey", "AWS::NoValue", {"Name": "LOGFERRY_AWS_IDENTITY", "Value": "true"}]} in agent[
        "Environment"
    ]
    assert resources["Task"]["Properties"]["TaskRoleArn"] == "AgentRole.Arn"
    assert "Policies" not in resources["AgentRole"]["Properties"], "it may do nothing"
    service = resources["Service"]["Properties"]
    assert service["SchedulingStrategy"] == "DAEMON"
    assert service["DeploymentConfiguration"] == {"MinimumHealthyPercent": 0, "MaximumPercent": 100}


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
