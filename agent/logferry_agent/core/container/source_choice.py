"""Choose the source that a container's log is read from: its json-file, or the engine's API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from logferry_protocol.job import SourceName

from .metadata import ContainerMetadata, map_log_path

SourceKind = Literal["file", "api", "left_out", "unreadable"]

_MAJOR: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """The rules of one engine, for all its containers."""

    setting: Literal["auto", "file", "api"]
    """The agent's setting `source`."""
    files_readable: bool
    """Whether the agent can read the engine's log files."""
    engine_root: str
    """The engine's data root on the engine's machine."""
    mounted_root: str
    """The path of that data root on the agent's side."""

    def log_path(self, metadata: ContainerMetadata) -> str | None:
        """Return the path of a container's log file on the agent's side; None when it is outside of the data root."""
        if not metadata.log_path:
            return str(PurePosixPath(self.mounted_root) / "containers" / metadata.id / f"{metadata.id}-json.log")
        return map_log_path(self.engine_root, metadata.log_path, self.mounted_root)

    def in_file(self, metadata: ContainerMetadata) -> bool:
        """Return whether a log is read from a file."""
        if not self.files_readable or self.setting == "api":
            return False
        # A container without a driver was gone before it could be inspected: only a file that is already open has its
        # log.
        return metadata.container.driver in {"", "json-file"} and self.log_path(metadata) is not None

    def choose(self, metadata: ContainerMetadata) -> SourceKind:
        """Return the kind of source for a container."""
        if metadata.left_out:
            return "left_out"
        if self.in_file(metadata):
            return "file"
        return "unreadable" if self.setting == "file" else "api"


def source_name(kind: SourceKind) -> SourceName:
    """Return the name that a job shows for a kind of source."""
    return kind if kind in {"file", "api"} else "none"


def major_version(version: str) -> int:
    """Return the first number of an engine's version; 0 for a version without one (`dev`, built by hand)."""
    match = _MAJOR.match(version)
    return int(match[0]) if match else 0


def api_history_bytes(metadata: ContainerMetadata) -> int:
    """Return how large a log may be without having lost lines to rotation, for a container that is read from birth.

    The size is a little less than the files hold, because the size of records in the file is an estimate.
    """
    return metadata.max_size * (metadata.max_file - 1) * 9 // 10
