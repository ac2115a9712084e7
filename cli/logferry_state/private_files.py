"""Make files and folders that only their owner may read, whatever the caller's umask is."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from logferry_state.errors import LocalCloudError

UMASK: Final = 0o077
"""For processes that write into a state folder: their files are 0600 and their folders 0700."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(folder: Path) -> None:
    """Create the folder with mode 0700, or withdraw the permissions of group and others from an existing one.

    What is directly in it is corrected too: 0.1.0 made state folders with the caller's umask.

    Raises:
        LocalCloudError: It belongs to another user, who could read and replace what is written there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise LocalCloudError(
                f"{folder} belongs to another user, who could read the keys in it.",
                "Choose your own folder with --state or LOGFERRY_STATE.",
            )
        _withdraw(folder)
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a file that is being renamed
                if path.lstat().st_uid == os.geteuid():
                    _withdraw(path)
    except OSError as error:
        raise LocalCloudError(
            f"{folder} cannot be made private ({error.strerror}).", "Choose another with --state or LOGFERRY_STATE."
        ) from None


def _withdraw(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode) and mode & _OTHERS:
        path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def replace_private_file(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 in one step: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file 0600.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def open_private_file(path: str, flags: int) -> int:
    """Open a file for writing, made with mode 0600. This is an `opener` for `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
