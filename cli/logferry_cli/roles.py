"""`logferry roles` and `logferry quota`: agents that an AWS role stands for, and what agents may store a day.

For operators: they change the registry table with AWS credentials.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from logferry_cli.deployment import StackOption, find_deployment
from logferry_cli.options import StateOption
from logferry_cli.registry import Agent, Registry, canonical_arn
from logferry_cli.sizes import format_size, parse_size
from logferry_cli.terminal import sanitize_word

ArnArgument = Annotated[
    str, typer.Argument(help="The role's (or user's) ARN, or the assumed role's that the host sees.", metavar="ARN")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    roles = typer.Typer(
        name="roles",
        help="Let AWS roles sign agents in, without a key (for operators: uses AWS credentials).",
        no_args_is_help=True,
    )
    roles.command(name="map")(map_role)
    roles.command(name="list")(list_roles)
    roles.command(name="rebind")(rebind)
    roles.command(name="revoke")(revoke)
    app.add_typer(roles)
    app.command(name="quota")(quota)


def map_role(
    *,
    arn: ArnArgument,
    agent: Annotated[str, typer.Option("--agent", help="The agent principal; made where there is none yet.")],
    state: StateOption,
    owner: Annotated[str | None, typer.Option(help="Owner of its jobs; the agent's name by default.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-owner",
            help="An owner that a container's label logferry.owner may ask for (* for any); repeatable.",
        ),
    ] = None,
    stack: StackOption = None,
) -> None:
    """Let whoever has an AWS role be an agent."""
    role, now = canonical_arn(arn), _now()
    registry = _registry(state, stack)
    if not registry.ensure(Agent(agent, owner or agent, tuple(allow or ())), now):
        sys.stderr.write(f"The principal {agent} is there already and stays as it is; the role stands for it.\n")
    registry.map_role(role, agent, now)
    sys.stderr.write(f"Whoever has {role} is the agent {agent} now.\n")


def list_roles(
    *,
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    stack: StackOption = None,
) -> None:
    """List the roles that stand for agents."""
    registry = _registry(state, stack)
    listed = [
        {"arn": item["arn"], "agent": principal["name"]}
        | {name: int(item[name]) for name in ("created", "revoked") if name in item}
        | {"unique_id": registry.unique_id(item)}
        for principal in registry.principals()
        if principal["kind"] == "agent"
        for item in registry.roles(principal["name"])
    ]
    if as_json:
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    for role in listed:
        bound = f"  {sanitize_word(role['unique_id'])}" if role["unique_id"] else ""
        revoked = "  revoked" if "revoked" in role else ""
        sys.stdout.write(f"{sanitize_word(role['arn'])}  {sanitize_word(role['agent'])}{bound}{revoked}\n")
    if not listed:
        sys.stderr.write("No role stands for an agent yet: `logferry roles map ARN --agent NAME`.\n")


def rebind(*, arn: ArnArgument, state: StateOption, stack: StackOption = None) -> None:
    """Accept a role that was deleted and made again: the next host that signs in with it says which it is now."""
    role = canonical_arn(arn)
    _registry(state, stack).rebind_role(role)
    sys.stderr.write(f"The next host that signs in with {role} says which role of this name is meant.\n")


def revoke(*, arn: ArnArgument, state: StateOption, stack: StackOption = None) -> None:
    """End what a role stands for; connections that roles of its agent opened are closed."""
    role = canonical_arn(arn)
    _registry(state, stack).revoke_role(role, _now())
    sys.stderr.write(f"The role {role} stands for nobody now.\n")


def quota(
    *,
    agent: Annotated[str, typer.Argument(help="The agent principal.")],
    size: Annotated[
        str | None, typer.Argument(help="Compressed bytes a day (UTC): 500MB, 10GB; or none for no limit.")
    ] = None,
    state: StateOption,
    stack: StackOption = None,
) -> None:
    """Show or set what an agent may store a day. What goes over becomes a gap that says so."""
    registry = _registry(state, stack)
    if size is not None:
        wanted = None if size == "none" else parse_size(size)
        registry.set_quota(agent, wanted)
        sys.stderr.write("It counts from the agent's next connection on, two hours from now at the latest.\n")
    limit, used = registry.quota(agent, time.strftime("%Y-%m-%d", time.gmtime()))
    if limit is None:
        sys.stdout.write(f"{agent}: no limit\n")
    else:
        sys.stdout.write(f"{agent}: {format_size(limit)} a day, {format_size(used)} of it used today\n")


def _now() -> int:
    return int(time.time() * 1000)


def _registry(state: Path, stack: str | None) -> Registry:
    return Registry(find_deployment(state, stack).table("RegistryTable"))
