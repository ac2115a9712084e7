"""After the deployment: first keys, a check from end to end, and how to go on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from logferry_cli.agent_start_lines import AgentTarget, printed, start_commands
from logferry_cli.checkup import Checkup
from logferry_cli.deploy.first_keys import FirstKeys, agent_to_name, key_for_checking, make_first_keys, write_keys
from logferry_cli.deploy.session import StackSession
from logferry_cli.deployment import Deployment
from logferry_cli.doctor import examine
from logferry_cli.problems import Problem
from logferry_cli.progress import Steps
from logferry_cli.registry import Registry
from logferry_cli.stack_sources import StackSources
from logferry_cli.target import Target, address
from logferry_protocol import __version__

PATIENCE_S = 30.0


def hand_over(session: StackSession, sources: StackSources, steps: Steps, keys_folder: Path | None) -> None:
    """Make the first keys, check the deployment, and print addresses and the commands that start an agent.

    Raises:
        Problem: A check failed, or a key cannot be written.
    """
    account, stack = session.account, session.formation.stack
    deployment = Deployment(account.session, account.endpoint_url, stack, session.formation.outputs())
    registry = Registry(deployment.table("RegistryTable"))
    with steps("Making the first keys") as step:
        keys = make_first_keys(registry)
        if keys == FirstKeys(None, None):
            step.set_text("Admin and agents have keys already")
    written = _hand_out(keys, keys_folder)
    healthy = _check(deployment, registry)
    for line in _next_steps(session, sources, deployment, keys, written):
        sys.stdout.write(f"{line}\n")
    if not healthy:
        raise Problem(
            "The stack is deployed, but a check failed.",
            "Remove the cause that is named above, and check again with "
            f"`AWS_REGION={account.region} logferry doctor --deep --stack {stack}`.",
        )


def _hand_out(keys: FirstKeys, folder: Path | None) -> list[Path]:
    if folder is not None:
        return write_keys(folder, keys)
    for what, key in (("The admin's viewer key", keys.admin), ("The agents' key", keys.agent)):
        if key is not None:
            # At once, and before anything can fail: nothing can show it again.
            sys.stdout.write(f"{what} (save it now, it is never shown again): {key}\n")
            sys.stdout.flush()
    return []


def _check(deployment: Deployment, registry: Registry) -> bool:
    checkup = Checkup(quiet=False)
    with key_for_checking(registry) as key:
        target = Target(
            address(deployment.output("HttpUrl"), "http", "output HttpUrl"),
            address(deployment.output("ViewersUrl"), "ws", "output ViewersUrl"),
            key,
        )
        asyncio.run(examine(checkup, target, deployment, "", patience=PATIENCE_S, deep=True))
    return checkup.healthy


def _next_steps(
    session: StackSession, sources: StackSources, deployment: Deployment, keys: FirstKeys, written: list[Path]
) -> list[str]:
    files = {path.name.split("-")[0]: path for path in written}
    target = AgentTarget(
        stack=session.formation.stack,
        region=session.account.region,
        account=session.account.number,
        agents_url=deployment.output("AgentsUrl"),
        version=__version__,
        templates=str(sources.agent_templates),
        agent=agent_to_name(Registry(deployment.table("RegistryTable"))),
        key_file=str(files["agent"]) if "agent" in files else None,
    )
    lines = ["", f"The viewer: {deployment.output('ViewerUrl')}"]
    if "admin" in files:
        lines.append(f"It asks for a key: the admin's is in {files['admin']}.")
    elif keys.admin is not None:
        lines.append("It asks for a key: the admin's is above.")
    lines += ["", "Start an agent on each Docker host:", *printed(start_commands(target))]
    return lines
