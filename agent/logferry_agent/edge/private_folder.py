"""The spool's folder belongs to the agent alone: what is in it is not redacted yet, or was refused.

Files are made 0600 whatever the umask is, and so are those of an earlier version. SQLite gives the files of its
write-ahead log the mode of the database. A folder that holds nothing else is made 0700. One that others share (`/data`
with a folder of somebody else's in it) keeps its mode, and only what others could replace there is refused.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
PREFIX: Final = "spool-"
"""Of every file that the agent makes in the folder."""
OWN_FOLDERS: Final = frozenset({"rejected"})
NOT_COUNTED: Final = frozenset({"agent.sock", "lost+found"})
"""The socket that a killed agent left (edge/health.py), and a volume's own."""
SHARED_FOLDERS: Final = tuple(Path(name) for name in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"))  # noqa: S108
"""Everybody's own, also while they are empty. A tmpfs that is mounted for the agent alone has their mode, too."""


class OpenFolderError(Exception):
    """Others may write in the folder, and this agent cannot change it; the sentence says what to do."""


def make_private(folder: Path) -> None:
    """Make the folder where it is missing, and take from others what they may do with it and its spool.

    Raises:
        OpenFolderError: see there.
        OSError: it cannot be made or read.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = set(os.listdir(folder))
    own = all(name.startswith(PREFIX) or name in OWN_FOLDERS | NOT_COUNTED for name in names)
    if own and not any(shared.exists() and folder.samefile(shared) for shared in SHARED_FOLDERS):
        _close(folder)
    mode = folder.stat().st_mode
    if mode & OTHERS_WRITE:
        raise OpenFolderError(
            f"other users may write in {folder} (mode {stat.S_IMODE(mode):04o}), and it is not the agent's to change:"
            f" run `chmod 700 {folder}` as its owner or root, with `chown {os.geteuid()} {folder}` where it is the"
            f" agent's alone, or name a folder inside of it (spool_dir={folder / 'logferry'}), which the agent makes"
            " itself"
        )
    for name in names:
        if name.startswith(PREFIX) or name in OWN_FOLDERS:
            _close(folder / name)


def open_private(path: str, flags: int) -> int:
    """Open a file, made with mode 0600: an `opener` for `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _close(path: Path) -> None:
    """Take all rights of others; what is not ours to change stays as it is."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        if mode & OTHERS and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
