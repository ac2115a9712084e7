"""`logferry keys`: create, list and revoke agent and viewer keys.

For operators: it changes the registry table with AWS credentials.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from logferry_cli.connection_settings import connection_settings
from logferry_cli.deployment import StackOption, find_deployment
from logferry_cli.durations import parse_duration
from logferry_cli.options import StateOption
from logferry_cli.registry import Agent, Kind, Registry, Viewer, credential_of
from logferry_cli.sizes import format_size
from logferry_cli.terminal import sanitize_word

ExpiresOption = Annotated[
    str | None, typer.Option("--expires-in", help="How long the key is valid: 30m, 12h, 90d.", metavar="SPAN")
]
NameArgument = Annotated[str, typer.Argument(help="The principal's name; created if it does not exist.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    keys = typer.Typer(
        name="keys",
        help="Create, list and revoke agent and viewer keys (operators; uses AWS credentials).",
        no_args_is_help=True,
    )
    create = typer.Typer(name="create", help="Create a key, and its principal if needed.", no_args_is_help=True)
    create.command(name="agent")(create_agent)
    create.command(name="viewer")(create_viewer)
    keys.add_typer(create)
    keys.command(name="list")(list_keys)
    keys.command(name="revoke")(revoke)
    app.add_typer(keys)


def create_agent(
    *,
    name: NameArgument,
    state: StateOption,
    owner: Annotated[str | None, typer.Option(help="Owner of the agent's jobs; by default the agent's name.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-owner",
            help="An owner that a container's label logferry.owner may set (* for any); repeatable.",
        ),
    ] = None,
    expires_in: ExpiresOption = None,
    stack: StackOption = None,
) -> None:
    """Create an agent key. It is printed once, on stdout."""
    _create(state, stack, Agent(name, owner or name, tuple(allow or ())), expires_in)


def create_viewer(
    *,
    name: NameArgument,
    state: StateOption,
    subject: Annotated[str | None, typer.Option(help="The subject it reads as; by default the viewer's name.")] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Another owner whose jobs it may read; repeatable.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Allow reading every job.")] = False,
    expires_in: ExpiresOption = None,
    stack: StackOption = None,
) -> None:
    """Create a viewer key. It is printed once, on stdout."""
    _create(state, stack, Viewer(name, subject or name, tuple(group or ()), admin), expires_in)


def _create(state: Path, stack: str | None, principal: Agent | Viewer, expires_in: str | None) -> None:
    now = int(time.time() * 1000)
    expires = None if expires_in is None else now // 1000 + parse_duration(expires_in)
    deployment = find_deployment(state, stack)
    registry = Registry(deployment.table("RegistryTable"))
    wanted = registry.ensure(principal, now)
    if not wanted:
        sys.stderr.write(
            f"The principal {principal.name} already exists and is not changed. This is an additional key.\n"
        )
    kind: Kind = "agent" if isinstance(principal, Agent) else "viewer"
    issued = registry.issue(principal.name, kind, now, expires)
    sys.stderr.write("Save the key now: only its hash is stored, and it is never shown again.\n")
    if stack is not None:
        settings = [*connection_settings(kind, deployment.outputs), f"LOGFERRY_{kind.upper()}_KEY=the key"]
        sys.stderr.write("These settings use it:\n" + "".join(f"  {setting}\n" for setting in settings))
    sys.stdout.write(f"{issued.key}\n")


def list_keys(
    *,
    state: StateOption,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print principals with their keys as one JSON array.")
    ] = False,
    stack: StackOption = None,
) -> None:
    """List principals and their keys, without secrets."""
    registry = _registry(state, stack)
    listed = [
        _public(item) | {"keys": _keys(registry, item["name"]), "roles": _roles(registry, item["name"])}
        for item in registry.principals()
    ]
    if as_json:
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    for principal in listed:
        sys.stdout.write(_described(principal))
    if not listed:
        sys.stderr.write(
            "No principals yet. Run `logferry keys create agent NAME` or `logferry keys create viewer NAME`.\n"
        )


def revoke(
    *,
    what: Annotated[str, typer.Argument(help="A credential, a whole key, or with --principal a principal's name.")],
    state: StateOption,
    principal: Annotated[bool, typer.Option("--principal", help="WHAT is a principal: revoke all its keys.")] = False,
    stack: StackOption = None,
) -> None:
    """Revoke a key, or all keys of a principal. Open connections are closed."""
    registry = _registry(state, stack)
    now = int(time.time() * 1000)
    if principal:
        registry.revoke_principal(what, now)
        sys.stderr.write(f"The principal {what} and all its keys are revoked.\n")
    else:
        credential = credential_of(what)
        registry.revoke_credential(credential, now)
        sys.stderr.write(f"The key {credential} is revoked.\n")


def _registry(state: Path, stack: str | None) -> Registry:
    return Registry(find_deployment(state, stack).table("RegistryTable"))


def _keys(registry: Registry, principal: str) -> list[dict[str, Any]]:
    names = ("created", "expires", "revoked")
    return [
        {"credential": item["pk"].removeprefix("CREDENTIAL#")}
        | {name: int(item[name]) for name in names if name in item}
        for item in registry.credentials(principal)
    ]


def _roles(registry: Registry, principal: str) -> list[str]:
    return [item["arn"] for item in registry.roles(principal) if "revoked" not in item]


def _public(item: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "kind", "owner", "owners", "subject", "groups", "admin")
    found = {name: item[name] for name in names if name in item}
    return found | {name: int(item[name]) for name in ("created", "revoked", "daily_bytes") if item.get(name)}


def _described(principal: dict[str, Any]) -> str:
    if principal["kind"] == "agent":
        about = f"owner {principal['owner']}"
        if principal["owners"]:
            about += f", may also set {', '.join(principal['owners'])}"
        if "daily_bytes" in principal:
            about += f", {format_size(principal['daily_bytes'])} a day"
    else:
        about = f"subject {principal['subject']}"
        if principal["groups"]:
            about += f", groups {', '.join(principal['groups'])}"
        if principal["admin"]:
            about += ", admin"
    ended = f", revoked {_day(principal['revoked'])}" if "revoked" in principal else ""
    lines = [f"{principal['kind']} {principal['name']}: {about}{ended}"]
    for key in principal["keys"]:
        line = f"  {key['credential']}  created {_day(key['created'])}"
        if "expires" in key:
            line += f"  expires {_day(key['expires'] * 1000)}"
        if "revoked" in key:
            line += f"  revoked {_day(key['revoked'])}"
        lines.append(line)
    lines += [f"  {arn}" for arn in principal["roles"]]
    return "".join(f"{sanitize_word(line)}\n" for line in lines)


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
