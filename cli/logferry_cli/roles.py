"""`logferry roles` and `logferry quota`: map AWS roles to agents, and limit what agents may store a day.

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
    str, typer.Argument(help="The ARN of the role or user, or of the assumed role as the host sees it.", metavar="ARN")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    roles = typer.Typer(
        name="roles",
        help="Let agents authenticate with AWS roles instead of keys (operators; uses AWS credentials).",
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
    agent: Annotated[str, typer.Option("--agent", help="The agent principal; created if it does not exist.")],
    state: StateOption,
    owner: Annotated[str | None, typer.Option(help="Owner of the agent's jobs; by default the agent's name.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-owner",
            help="An owner that a container's label logferry.owner may set (* for any); repeatable.",
        ),
    ] = None,
    stack: StackOption = None,
) -> None:
    """Map an AWS role to an agent."""
    role, now = canonical_arn(arn), _now()
    registry = _registry(state, stack)
    if not registry.ensure(Agent(agent, owner or agent, tuple(allow or ())), now):
        sys.stderr.write(f"The principal {agent} already exists and is not changed; the role is mapped to it.\n")
    registry.map_role(role, agent, now)
    sys.stderr.write(f"The role {role} is mapped to the agent {agent}.\n")


def list_roles(
    *,
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    stack: StackOption = None,
) -> None:
    """List the roles that are mapped to agents."""
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
        sys.stderr.write("No role is mapped yet. Run `logferry roles map ARN --agent NAME`.\n")


def rebind(*, arn: ArnArgument, state: StateOption, stack: StackOption = None) -> None:
    """Accept a role that was deleted and created again.

    The next host that signs in with it decides which role is meant.
    """
    role = canonical_arn(arn)
    _registry(state, stack).rebind_role(role)
    sys.stderr.write(f"The next host that signs in with {role} decides which role of this name is meant.\n")


def revoke(*, arn: ArnArgument, state: StateOption, stack: StackOption = None) -> None:
    """Revoke a role's mapping. Connections that roles of its agent opened are closed."""
    role = canonical_arn(arn)
    _registry(state, stack).revoke_role(role, _now())
    sys.stderr.write(f"The mapping of the role {role} is revoked.\n")


def quota(
    *,
    agent: Annotated[str, typer.Argument(help="The agent principal.")],
    size: Annotated[
        str | None, typer.Argument(help="Compressed bytes a day (UTC), as 500MB or 10GB; or none for no limit.")
    ] = None,
    state: StateOption,
    stack: StackOption = None,
) -> None:
    """Show or set an agent's daily quota. Entries beyond it become a gap."""
    registry = _registry(state, stack)
    if size is not None:
        wanted = None if size == "none" else parse_size(size)
        registry.set_quota(agent, wanted)
        sys.stderr.write("The quota applies from the agent's next connection on, within two hours.\n")
    limit, used = registry.quota(agent, time.strftime("%Y-%m-%d", time.gmtime()))
    if limit is None:
        sys.stdout.write(f"{agent}: no limit\n")
    else:
        sys.stdout.write(f"{agent}: {format_size(limit)} a day, {format_size(used)} of it used today\n")


def _now() -> int:
    return int(time.time() * 1000)


def _registry(state: Path, stack: str | None) -> Registry:
    return Registry(find_deployment(state, stack).table("RegistryTable"))
