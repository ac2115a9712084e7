"""`logferry agent`: the agent, in the foreground.

It has the local cloud's address and key where nothing else was said.
"""

from __future__ import annotations

import os

import typer

from logferry_cli.problems import Problem
from logferry_local.cloud import running_state
from logferry_local.errors import LocalCloudError
from logferry_local.state import default_folder, load_keys


def register(app: typer.Typer) -> None:
    """Adds the command; its options are the agent's own, so they are passed on as they are."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(
        context_settings=passed_on,
        help="Run the agent on this machine's Docker Engine (its own options: agent --help).",
    )(agent)


def agent(context: typer.Context) -> None:
    """Runs the agent with every argument that was given, and ends with its exit status."""
    try:
        from logferry_agent.__main__ import main  # noqa: PLC0415 (every other command would pay for it)
    except ImportError as error:
        raise Problem(f"The agent is not installed ({error.name}).", "`make setup` installs it.") from None
    _default_to_local_cloud()
    raise typer.Exit(main(context.args) or 0)


def _default_to_local_cloud() -> None:
    """Without a server of its own in the environment the agent is the local cloud's, when there is one."""
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
