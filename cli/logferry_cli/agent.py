"""`logferry agent`: run the agent in the foreground, or install it as a service (agent_install.py).

It uses the local cloud's address and key unless others are given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import typer

from logferry_state.errors import LocalCloudError
from logferry_state.running import running_state
from logferry_state.state import default_folder, load_keys


def register(app: typer.Typer) -> None:
    """Add the command. Its options are the agent's own, so they are passed through."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(
        context_settings=passed_on,
        help="Run the agent on this machine's Docker Engine, or `agent install` it as a service (see agent --help).",
    )(agent)


def agent(context: typer.Context) -> None:
    """Run the agent with all given arguments, and exit with its status."""
    raise typer.Exit(run(context.args))


def run(arguments: Sequence[str]) -> int:
    """Run the agent, install it as a service, or remove the service. Return the exit status.

    Raises:
        Problem: The service cannot be installed or removed.
    """
    if arguments and arguments[0] in {"install", "uninstall"}:
        from logferry_cli.agent_install import main as install  # noqa: PLC0415

        return install(arguments)
    from logferry_agent.__main__ import main  # noqa: PLC0415 (every other command would pay for it)

    default_to_local_cloud()
    return main(arguments) or 0


def default_to_local_cloud() -> None:
    """Use the local cloud, if there is one and the environment names no other."""
    if "LOGFERRY_AGENTS_URL" in os.environ:
        return
    folder = default_folder()
    try:
        state, keys = running_state(folder), load_keys(folder)
    except LocalCloudError:
        return
    os.environ["LOGFERRY_AGENTS_URL"] = state.agents_url
    os.environ.setdefault("LOGFERRY_AGENT_KEY", keys.agent_key)
    os.environ.setdefault("LOGFERRY_SPOOL_DIR", str((folder / "agent").absolute()))
