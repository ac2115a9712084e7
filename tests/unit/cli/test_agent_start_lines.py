"""Test the commands that `logferry deploy` prints: a shell and the tools that they name take them as they are."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from logferry_cli.agent_start_lines import AgentTarget, StartCommands, printed, start_commands
from logferry_cli.app import build

ROOT = Path(__file__).parents[3]
TARGET = AgentTarget(
    stack="logferry",
    region="eu-west-1",
    account="123456789012",
    agents_url="wss://abc123.execute-api.eu-west-1.amazonaws.com/live",
    version="0.2.0",
)


def commands(where: str, target: AgentTarget = TARGET) -> StartCommands:
    """Return the commands for one kind of host."""
    return next(found for found in start_commands(target) if found.where.startswith(where))


def run_with_stubs(line: str, folder: Path) -> list[list[str]]:
    """Run a line in a shell with stubs of the tools, and return the words that each stub got."""
    for program in ("aws", "docker", "logferry", "make", "sudo"):
        said = "echo arn:aws:iam::123456789012:role/agent" if program == "aws" else ""
        stub = f'#!/bin/sh\nfor word in {program} "$@"; do printf "%s\\0" "$word"; done >>{folder}/calls\n'
        stub += f"printf '\\n' >>{folder}/calls\n{said}\n"
        (folder / program).write_text(stub)
        (folder / program).chmod(0o755)
    (folder / "calls").write_text("")
    subprocess.run(["sh", "-euc", line], env={"PATH": f"{folder}:/usr/bin:/bin"}, check=True, stdout=subprocess.PIPE)
    return [call.rstrip("\0").split("\0") for call in (folder / "calls").read_text().splitlines()]


def test_plain_host_gets_address_and_key_file_but_no_key(tmp_path: Path) -> None:
    """A key in the arguments would be visible in the list of processes."""
    (line,) = commands("A plain host", replace(TARGET, key_file="/etc/my keys/agent-key")).lines
    (call,) = run_with_stubs(line, tmp_path)
    assert call[:4] == ["sudo", str(tmp_path / "logferry"), "agent", "install"]
    assert call[4:] == ["--agents-url", TARGET.agents_url, "--key-file", "/etc/my keys/agent-key"]


@pytest.mark.parametrize(("where", "template"), [("EC2", "ec2.yaml"), ("An ECS", "ecs.yaml")])
def test_template_is_deployed_with_parameters_that_it_has(where: str, template: str, tmp_path: Path) -> None:
    """Every parameter without a default is given, and no other name."""
    call = run_with_stubs(commands(where).lines[0], tmp_path)[0]
    path = Path(call[call.index("--template-file") + 1])
    assert path == Path("infra/agent") / template
    given = {word.partition("=")[0] for word in call[call.index("--parameter-overrides") + 1 :]}
    text = "".join(
        line
        for line in (ROOT / path).read_text().partition("\nConditions:")[0].splitlines(keepends=True)
        if "!" not in line
    )
    declared = yaml.safe_load(text)["Parameters"]
    assert given <= set(declared)
    assert {name for name, parameter in declared.items() if "Default" not in parameter} <= given


@pytest.mark.parametrize("where", ["EC2", "An ECS"])
def test_role_of_the_stack_is_mapped_to_the_agent(where: str, tmp_path: Path) -> None:
    """The ARN comes from the stack's output, and `logferry roles map` takes the words."""
    call = run_with_stubs(commands(where).lines[1], tmp_path)[-1]
    assert call == [
        "logferry",
        "roles",
        "map",
        "arn:aws:iam::123456789012:role/agent",
        "--agent",
        "hosts",
        "--stack",
        "logferry",
    ]
    help_text = CliRunner().invoke(build(["roles"]), ["roles", "map", "--help"]).output
    assert all(option in help_text for option in ("--agent", "--stack"))


def test_role_is_mapped_in_the_region_of_the_stack() -> None:
    """The command reads AWS_REGION first, and the shell may have another one."""
    assert commands("EC2").lines[1].startswith("AWS_REGION=eu-west-1 logferry roles map ")


def test_instance_starts_from_the_launch_template_of_the_stack(tmp_path: Path) -> None:
    """Its newest version, so that a shell must not expand the dollar sign."""
    call = run_with_stubs(commands("EC2").lines[2], tmp_path)[0]
    assert call[-1] == "LaunchTemplateName=logferry-agent-ec2,Version=$Latest"


def test_image_is_pushed_to_the_registry_of_the_partition(tmp_path: Path) -> None:
    """China's registries have another suffix."""
    calls = [call for line in commands("The agent's image").lines for call in run_with_stubs(line, tmp_path)]
    assert ["make", "image", "PUSH=123456789012.dkr.ecr.eu-west-1.amazonaws.com/logferry-agent:0.2.0"] in calls
    assert replace(TARGET, region="cn-north-1").image.startswith("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/")


def test_printed_lines_contain_every_command_to_copy() -> None:
    """Each on a line of its own."""
    lines = list(printed(start_commands(TARGET)))
    assert all(f"    {line}" in lines for one in start_commands(TARGET) for line in one.lines)
    assert all(shlex.split(line) for one in start_commands(TARGET) for line in one.lines)
