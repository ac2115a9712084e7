"""Remember in stamp files what a step last ran with, so that it runs again only after a change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A wheel carries this program too. Nothing may be written into an installation, so `logferry up` names another folder.
MADE = Path(os.environ.get("LOGFERRY_SETUP_FOLDER") or ROOT)
STAMPS = MADE / ".setup"


def digest(*parts: object) -> str:
    """Return one SHA-256 over names, versions, and the bytes of files and whole folders.

    The folder's path is always part of it, because virtual environments and editable installs hold absolute paths.
    """
    total = hashlib.sha256(str(MADE).encode())
    for part in parts:
        if isinstance(part, Path) and part.is_file():
            total.update(part.read_bytes())
        elif isinstance(part, Path) and part.is_dir():
            for path in sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
                total.update(str(path.relative_to(part)).encode())
                total.update(path.read_bytes())
        else:
            total.update(str(part).encode())
        total.update(b"\0")
    return total.hexdigest()


def is_done(name: str, value: str) -> bool:
    """Return whether the step last ran with the same digest."""
    try:
        return (STAMPS / name).read_text() == value
    except OSError:
        return False


def done(name: str, value: str) -> None:
    """Remember the digest that the step ran with."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(value)
