"""Find a local cloud that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from logferry_state.errors import NotRunningError
from logferry_state.processes import ProcessTable
from logferry_state.state import LocalState, load_state

EMULATOR_ROLE: Final = "cloud"
"""The role of the emulator in the table of processes."""


def running_state(folder: Path) -> LocalState:
    """Return the state of a running cloud.

    Raises:
        NotRunningError: The folder has none, or its emulator has ended.
    """
    state = load_state(folder)
    if state.embedded and ProcessTable(folder).running(EMULATOR_ROLE) is None:
        raise NotRunningError(f"The local cloud in {folder} has ended.", "Start it again with `logferry up`.")
    return state
