"""`logferry up`, `down` and `status`: the local cloud."""

from __future__ import annotations

import typer

from logferry_cli.options import StateOption
from logferry_cli.problems import Problem


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(up)
    app.command()(status)


def up(state: StateOption) -> None:
    """Start the local cloud."""
    raise Problem("Not built yet.")


def status(state: StateOption) -> None:
    """Say what runs."""
    from logferry_local.state import load_state

    print(load_state(state))
