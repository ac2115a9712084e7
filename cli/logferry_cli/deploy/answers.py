"""What `logferry deploy` remembers of a deployment, in a file of its own per stack, region and account.

It holds no secret. Without the file, everything is found again from the deployed stack.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from logferry_cli.deploy.adoption import KeptData
from logferry_cli.problems import Problem
from logferry_state.private_files import replace_private_file

FOLDER: Final = "stacks"


class Answers(BaseModel):
    """The choices of the last deployment."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    parameters: dict[str, str] = {}
    """The values that somebody chose. All others follow the template."""
    defaults: dict[str, str] = {}
    """The template's defaults at that time."""
    kept: KeptData | None = None
    """What `logferry destroy` kept, for `--adopt`."""
    log_groups: tuple[str, ...] = ()
    """The log groups that `logferry destroy` deletes after the stack. Set while it has not done so."""


def config_folder() -> Path:
    """Return the folder of this user's settings of Logferry."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "logferry"


def log_folder(stack: str, region: str) -> Path:
    """Return the folder for the output of the programs that deploy a stack."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "logferry" / f"{stack}.{region}"


def answers_file(stack: str, region: str, account: str) -> Path:
    """Return the file of a deployment."""
    return config_folder() / FOLDER / f"{stack}.{region}.{account}.json"


def remembered_regions(stack: str) -> list[str]:
    """Return the regions of this stack that have a file."""
    found = (config_folder() / FOLDER).glob(f"{stack}.*.json")
    return sorted({path.name.removeprefix(f"{stack}.").split(".")[0] for path in found})


def load_answers(path: Path) -> Answers:
    """Return what a file remembers; nothing when there is no file.

    Raises:
        Problem: It cannot be read.
    """
    try:
        return Answers.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Answers()
    except OSError as error:
        raise Problem(f"{path} cannot be read ({error.strerror}).", "Check its owner.") from None
    except ValidationError:
        raise Problem(f"{path} is not what `logferry deploy` writes.", "Remove it and deploy again.") from None


def save_answers(path: Path, answers: Answers) -> None:
    """Write the file in one step, for its owner alone.

    Raises:
        Problem: It cannot be written.
    """
    try:
        replace_private_file(path, answers.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise Problem(
            f"{path} cannot be written ({error.strerror}).", "Set XDG_CONFIG_HOME to your own folder."
        ) from None
