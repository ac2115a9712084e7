"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logferry_state.state import default_folder

StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="LOGFERRY_STATE",
        default_factory=default_folder,
        show_default=".logferry, here or in a folder above",
        help="Folder that holds the local cloud's state.",
    ),
]
