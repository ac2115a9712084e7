"""The commands that start an agent against a deployed stack, filled in: on EC2, on ECS and on a plain host.

`logferry deploy` prints them. Nothing here runs a command. docs/install-the-agent.md explains each of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

REPOSITORY: Final = "logferry-agent"
"""The ECR repository that the commands push the agent's image to."""

_ROLE_QUERY: Final = "Stacks[0].Outputs[?OutputKey=='AgentRole'].OutputValue"


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """A deployed stack, as the commands name it."""

    stack: str
    """The name of the CloudFormation stack."""
    region: str
    account: str
    """The AWS account's twelve digits."""
    agents_url: str
    """The stack's output `AgentsUrl`."""
    version: str
    """The agent's version, which becomes the image's tag."""
    templates: str = "infra/agent"
    """The folder with `ec2.yaml` and `ecs.yaml`."""
    agent: str = "hosts"
    """The agent principal that the hosts sign in as."""
    key_file: str | None = None
    """A file with the agent's key on the machine where the commands run; None: the commands name `agent-key`."""

    @property
    def registry(self) -> str:
        """The host name of the account's ECR registry."""
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"{self.account}.dkr.ecr.{self.region}.{suffix}"

    @property
    def image(self) -> str:
        """The agent's image in that registry."""
        return f"{self.registry}/{REPOSITORY}:{self.version}"


@dataclass(frozen=True, slots=True)
class StartCommands:
    """The commands for one kind of host."""

    where: str
    """The kind of host, as a heading."""
    first: str
    """What has to be true before: one sentence."""
    lines: tuple[str, ...]
    """Commands for a shell. None spans several lines."""


def start_commands(target: AgentTarget) -> tuple[StartCommands, ...]:
    """Return the commands for each kind of host, the simplest first."""
    return (_plain_host(target), _image(target), _ec2(target), _ecs(target))


def printed(commands: tuple[StartCommands, ...]) -> Iterator[str]:
    """Yield the commands as lines for a terminal, to be copied."""
    for one in commands:
        yield from ("", f"{one.where}: {one.first}", "")
        yield from (f"    {line}" for line in one.lines)


def _plain_host(target: AgentTarget) -> StartCommands:
    key_file = target.key_file or "agent-key"
    install = ["agent", "install", "--agents-url", target.agents_url, "--key-file", key_file]
    return StartCommands(
        "A plain host with systemd",
        "install the command there with its extra [agent], and copy the file with the agent's key to it.",
        # The command may be in a folder of its user, where sudo does not look.
        (f'sudo "$(command -v logferry)" {shlex.join(install)}',),
    )


def _image(target: AgentTarget) -> StartCommands:
    repository = ["aws", "ecr", "create-repository", "--region", target.region, "--repository-name", REPOSITORY]
    password = shlex.join(["aws", "ecr", "get-login-password", "--region", target.region])
    login = shlex.join(["docker", "login", "--username", "AWS", "--password-stdin", target.registry])
    return StartCommands(
        "The agent's image",
        "EC2 and ECS pull it from your registry. Push it from a clone of Logferry, on a machine with Docker.",
        (shlex.join(repository), f"{password} | {login}", shlex.join(["make", "image", f"PUSH={target.image}"])),
    )


def _ec2(target: AgentTarget) -> StartCommands:
    stack = f"{target.stack}-agent-ec2"
    instance = ["aws", "ec2", "run-instances", "--region", target.region]
    instance += ["--launch-template", f"LaunchTemplateName={stack},Version=$Latest"]
    return StartCommands(
        "EC2 instances",
        "they sign in with their role and need no key. The last command starts one instance.",
        (_deploy(target, stack, "ec2.yaml", {}), _map_role(target, stack), shlex.join(instance)),
    )


def _ecs(target: AgentTarget) -> StartCommands:
    stack = f"{target.stack}-agent-ecs"
    return StartCommands(
        "An ECS cluster on EC2",
        "replace CLUSTER with its name. The tasks sign in with their role and need no key.",
        (_deploy(target, stack, "ecs.yaml", {"Cluster": "CLUSTER"}), _map_role(target, stack)),
    )


def _deploy(target: AgentTarget, stack: str, template: str, parameters: Mapping[str, str]) -> str:
    given = {**parameters, "AgentsUrl": target.agents_url, "Image": target.image}
    words = ["aws", "cloudformation", "deploy", "--region", target.region]
    words += ["--template-file", f"{target.templates}/{template}", "--stack-name", stack]
    words += ["--capabilities", "CAPABILITY_IAM", "--parameter-overrides"]
    return shlex.join([*words, *(f"{name}={value}" for name, value in given.items())])


def _map_role(target: AgentTarget, stack: str) -> str:
    """Return the command that maps a stack's role to the agent, with the role's ARN from the stack's output."""
    described = ["aws", "cloudformation", "describe-stacks", "--region", target.region, "--stack-name", stack]
    described += ["--query", _ROLE_QUERY, "--output", "text"]
    mapped = shlex.join(["--agent", target.agent, "--stack", target.stack])
    return f'AWS_REGION={target.region} logferry roles map "$({shlex.join(described)})" {mapped}'
