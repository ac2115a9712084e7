"""The files of the agent's systemd service on a host, below `/` or another root."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logferry_cli.systemd_unit import SERVICE, parse_environment

KEY_SETTING: Final = "LOGFERRY_AGENT_KEY_FILE"
KEY_PATH: Final = "/etc/logferry/agent-key"
ENVIRONMENT_PATH: Final = "/etc/logferry/agent.env"
_SPOOL_PREFIX: Final = "spool-"
_SPOOL_NAMES: Final = frozenset({"agent.sock", "rejected"})
"""What the agent makes in its spool's folder, beside files with the prefix (`logferry_agent.edge.private_folder`)."""


@dataclass(frozen=True, slots=True)
class AgentFiles:
    """Where the service's files are."""

    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """Return a path of the host below the root."""
        return self.root / path.lstrip("/")

    @property
    def unit(self) -> Path:
        """The service's unit."""
        return self.at(f"/etc/systemd/system/{SERVICE}")

    @property
    def environment(self) -> Path:
        """The agent's settings."""
        return self.at(ENVIRONMENT_PATH)

    @property
    def key(self) -> Path:
        """The agent's key."""
        return self.at(KEY_PATH)

    def settings(self) -> dict[str, str]:
        """Return the settings that were installed before, by the names of their variables."""
        try:
            return parse_environment(self.environment.read_text())
        except FileNotFoundError:
            return {}

    def write(self, path: Path, text: str, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Replace a file at once, so that nobody sees half of it or, before it has its mode, its content.

        Args:
            path: The file. Missing folders above it are made.
            text: Its content.
            mode: Its mode.
            owner: The ids of its user and group; None leaves the process's own.

        Raises:
            OSError: It cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def remove_service(self) -> None:
        """Remove the unit."""
        self.unit.unlink(missing_ok=True)

    def remove_settings(self) -> None:
        """Remove settings and key, and their folder unless it has other files."""
        for path in (self.environment, self.key):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.environment.parent.rmdir()

    def remove_spool(self, folder: str) -> None:
        """Remove what the agent made in its spool's folder, and the folder unless it has other files."""
        spool = self.at(folder)
        with suppress(FileNotFoundError):
            for path in list(spool.iterdir()):
                if path.name in _SPOOL_NAMES or path.name.startswith(_SPOOL_PREFIX):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
        with suppress(OSError):
            spool.rmdir()

    def spool_bytes(self, folder: str) -> int:
        """Return the size of the spool's files."""
        spool = self.at(folder)
        return sum(path.stat().st_size for path in spool.rglob("*") if path.is_file()) if spool.is_dir() else 0
