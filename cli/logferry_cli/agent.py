"""`logferry agent`: run the agent in the foreground.

It uses the local cloud's address and key unless others are given.
"""

from __future__ import annotations

import os

import typer

from logferry_state.errors import LocalCloudError
from logferry_state.running import running_state
from logferry_state.state import default_folder, load_keys


def register(app: typer.Typer) -> None:
    """Add the command. Its options are the agent's own, so they are passed through."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(
        context_settings=passed_on,
        help="Run the agent on this machine's Docker Engine (its own options: agent --help).",
    )(agent)


def agent(context: typer.Context) -> None:
    """Run the agent with all given arguments, and exit with its status."""
    from logferry_agent.__main__ import main  # noqa: PLC0415 (every other command would pay for it)

    _default_to_local_cloud()
    raise typer.Exit(main(context.args) or 0)


def _default_to_local_cloud() -> None:
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
