"""The state folder: where the local cloud is, which processes serve it, and the keys made for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logferry_local.errors import LocalCloudError, NotRunningError
from logferry_local.private_files import replace_private_file

STATE_FILE = "state.json"
KEYS_FILE = "keys.json"
EMULATOR_FILE = "emulator.json"
FOLDER_NAME = ".logferry"
DEMO_FOLDER_NAME = ".logferry-demo"


Model = TypeVar("Model", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ProcessIdentity(_Frozen):
    """A process that we started.

    By its id, and when the kernel says it began, so that an id used again by another is not mistaken for it.
    """

    pid: int
    began: str


class Tables(_Frozen):
    """The names that the deployed stack gave its two tables."""

    log: str
    registry: str


class LocalState(_Frozen):
    """Everything a command needs to reach the local cloud. URLs have no slash at their end."""

    endpoint_url: str
    access_key: str = Field("test", repr=False)
    """The access key id that the emulator takes for its root: the secret of this state's own emulator. Plain
    emulators, and state files of 0.1.0, have LocalStack's `test`."""
    region: str
    embedded: bool
    """True when the emulator is ours to stop; False when it ran already (`--endpoint-url`)."""
    stack: str
    agents_url: str
    viewers_url: str
    http_url: str
    viewer_url: str
    viewer_bucket: str
    tables: Tables
    pids: dict[str, ProcessIdentity]
    """By role: `cloud`, `viewer`, `agent`."""


class EmulatorAccess(_Frozen):
    """Who may reach this state's own emulator, as the one that was started last was told."""

    access_key: str = Field(repr=False)
    """The secret: nothing is answered to a request that is not signed with this access key id."""
    origins: tuple[str, ...]
    """Those of the viewer's page, whose WebSocket the emulator serves."""


class LocalKeys(_Frozen):
    """The agent's and the viewer's key of this local cloud, whole; the file is readable by its owner alone."""

    agent_key: str
    viewer_key: str


def default_folder(start: Path | None = None) -> Path:
    """Return the state folder when none is named.

    LOGFERRY_STATE; else the nearest `.logferry` of a cloud here or in a folder above, as git finds its own, or a
    running demonstration's; else `.logferry` here.
    """
    if named := os.environ.get("LOGFERRY_STATE"):
        return Path(named)
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        for name in (FOLDER_NAME, DEMO_FOLDER_NAME):
            if (folder / name / STATE_FILE).is_file():
                return folder / name
    return here / FOLDER_NAME


def load_state(folder: Path) -> LocalState:
    """Raises NotRunningError when there is none, LocalCloudError when it cannot be read."""
    return _load(folder / STATE_FILE, LocalState)


def load_keys(folder: Path) -> LocalKeys:
    """Raises NotRunningError when there are none, LocalCloudError when they cannot be read."""
    return _load(folder / KEYS_FILE, LocalKeys)


def load_emulator_access(folder: Path) -> EmulatorAccess | None:
    """None when no emulator of this kind was started there; those of 0.1.0 were open to everybody."""
    try:
        return EmulatorAccess.model_validate_json((folder / EMULATOR_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def save_emulator_access(folder: Path, access: EmulatorAccess) -> None:
    """Keep it for the next `up`, before the emulator is started."""
    _replace(folder / EMULATOR_FILE, access.model_dump_json(indent=2))


def save_state(folder: Path, state: LocalState) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    _replace(folder / STATE_FILE, state.model_dump_json(indent=2))


def save_keys(folder: Path, keys: LocalKeys) -> None:
    """Write the keys with mode 0600 from their first byte on."""
    _replace(folder / KEYS_FILE, keys.model_dump_json(indent=2))


def forget_state(folder: Path) -> None:
    """After `down`: commands then say that nothing runs. Keys and data stay for the next `up`."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def _load(path: Path, model: type[Model]) -> Model:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotRunningError(f"No local cloud runs in {path.parent}.", "Start one with `logferry up`.") from None
    except OSError as error:
        raise LocalCloudError(f"{path} cannot be read ({error.strerror}).", "Check who owns it.") from None
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise LocalCloudError(
            f"{path} is not what `logferry up` writes.", "Run `logferry down` and `logferry up` again."
        ) from None


def _replace(path: Path, text: str) -> None:
    replace_private_file(path, text.encode() + b"\n")
