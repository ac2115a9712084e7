"""The state folder: the local cloud's addresses, its processes, and its keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logferry_state.errors import LocalCloudError, NotRunningError
from logferry_state.private_files import replace_private_file

STATE_FILE = "state.json"
KEYS_FILE = "keys.json"
EMULATOR_FILE = "emulator.json"
FOLDER_NAME = ".logferry"
DEMO_FOLDER_NAME = ".logferry-demo"
SECRET_KEY = "test"  # noqa: S105 - no secret: every emulator takes it
"""The secret access key of every local cloud. Emulators ignore it: the access key id alone is checked."""


Model = TypeVar("Model", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ProcessIdentity(_Frozen):
    """A process that was started here.

    Its id and the kernel's start time identify it, so that another process with the same id is not mistaken for it.
    """

    pid: int
    began: str


class Tables(_Frozen):
    """The names of the deployed stack's two tables."""

    log: str
    registry: str


class LocalState(_Frozen):
    """Everything that a command needs to reach the local cloud. URLs have no slash at their end."""

    endpoint_url: str
    access_key: str = Field("test", repr=False)
    """The access key id that the emulator takes for its root: the secret of this state's emulator. Plain emulators, and
    state files of 0.1.0, have LocalStack's `test`."""
    region: str
    embedded: bool
    """Whether the emulator was started here; False when it ran already (`--endpoint-url`)."""
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
    """Who may use this state's emulator, as it was told when it was last started."""

    access_key: str = Field(repr=False)
    """The secret: a request that is not signed with this access key id is refused."""
    origins: tuple[str, ...]
    """The origins of the viewer's page, whose WebSocket the emulator serves."""


class LocalKeys(_Frozen):
    """The agent's and the viewer's key of this local cloud. Only the file's owner can read it."""

    agent_key: str
    viewer_key: str


def default_folder(start: Path | None = None) -> Path:
    """Return the state folder when none is named.

    It is LOGFERRY_STATE; else the nearest `.logferry` of a cloud, or a running demonstration's folder, here or in a
    folder above; else `.logferry` here.
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
    """Return the state in a folder.

    Raises:
        NotRunningError: There is none.
        LocalCloudError: It cannot be read.
    """
    return _load(folder / STATE_FILE, LocalState)


def load_keys(folder: Path) -> LocalKeys:
    """Return the keys in a folder.

    Raises:
        NotRunningError: There are none.
        LocalCloudError: They cannot be read.
    """
    return _load(folder / KEYS_FILE, LocalKeys)


def load_emulator_access(folder: Path) -> EmulatorAccess | None:
    """Return the access of the emulator last started; None when there is none.

    Emulators of 0.1.0 were open to everyone.
    """
    try:
        return EmulatorAccess.model_validate_json((folder / EMULATOR_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def save_emulator_access(folder: Path, access: EmulatorAccess) -> None:
    """Save the access for the next `up`, before the emulator is started."""
    _replace(folder / EMULATOR_FILE, access.model_dump_json(indent=2))


def save_state(folder: Path, state: LocalState) -> None:
    """Save the state in one step, so that a reader never sees half of it."""
    _replace(folder / STATE_FILE, state.model_dump_json(indent=2))


def save_keys(folder: Path, keys: LocalKeys) -> None:
    """Save the keys with mode 0600."""
    _replace(folder / KEYS_FILE, keys.model_dump_json(indent=2))


def forget_state(folder: Path) -> None:
    """Delete the state after `down`, so that commands say that nothing runs. Keys and data stay for the next `up`."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def _load(path: Path, model: type[Model]) -> Model:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotRunningError(f"No local cloud runs in {path.parent}.", "Start one with `logferry up`.") from None
    except OSError as error:
        raise LocalCloudError(f"{path} cannot be read ({error.strerror}).", "Check its owner.") from None
    try:
        return model.model_validate_json(text)
    except ValidationError:
        raise LocalCloudError(
            f"{path} is not what `logferry up` writes.", "Run `logferry down` and `logferry up` again."
        ) from None


def _replace(path: Path, text: str) -> None:
    replace_private_file(path, text.encode() + b"\n")
