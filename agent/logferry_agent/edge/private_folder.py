"""Keep the spool's folder private to the agent: its contents are not redacted yet, or were refused.

Files are made with mode 0600 whatever the umask is; those of an earlier version are corrected. SQLite gives the files
of its write-ahead log the mode of the database. A folder that holds nothing else gets mode 0700. A folder that others
share (`/data` with someone else's folder in it) keeps its mode, and is refused only if others could replace files
there.
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
"""Prefix of every file that the agent makes in the folder."""
OWN_FOLDERS: Final = frozenset({"rejected"})
NOT_COUNTED: Final = frozenset({"agent.sock", "lost+found"})
"""The socket that a killed agent left (edge/health.py), and a volume's own folder."""
SHARED_FOLDERS: Final = tuple(Path(name) for name in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"))  # noqa: S108
"""Folders that everyone uses, also while they are empty. A tmpfs mounted for the agent alone has their mode, too."""


class OpenFolderError(Exception):
    """Others may write in the folder, and the agent cannot change that. The message says what to do."""


def make_private(folder: Path) -> None:
    """Create the folder if it is missing, and withdraw others' permissions from it and the spool's files.

    Raises:
        OpenFolderError: Others may write in the folder, and the agent cannot change that.
        OSError: The folder cannot be made or read.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = set(os.listdir(folder))
    own = all(name.startswith(PREFIX) or name in OWN_FOLDERS | NOT_COUNTED for name in names)
    if own and not any(shared.exists() and folder.samefile(shared) for shared in SHARED_FOLDERS):
        _close(folder)
    mode = folder.stat().st_mode
    if mode & OTHERS_WRITE:
        raise OpenFolderError(
            f"other users may write in {folder} (mode {stat.S_IMODE(mode):04o}), and the agent cannot change that:"
            f" run `chmod 700 {folder}` as its owner or root (and `chown {os.geteuid()} {folder}` if only the agent"
            f" uses it), or set a folder inside it (spool_dir={folder / 'logferry'}), which the agent creates"
        )
    for name in names:
        if name.startswith(PREFIX) or name in OWN_FOLDERS:
            _close(folder / name)


def open_private(path: str, flags: int) -> int:
    """Open a file, made with mode 0600. This is an `opener` for `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _close(path: Path) -> None:
    """Withdraw all permissions of others, where the agent owns the file."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        if mode & OTHERS and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
