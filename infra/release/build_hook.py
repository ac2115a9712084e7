"""Put the sources of the stack into the wheel, from which `logferry deploy` and `logferry up` work without a checkout.

Hatchling runs this. An installation in place gets no copy: it would be made once and grow stale, and the command looks
for the checkout first (`logferry_cli/stack_sources.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED: Final = (
    "template.yaml",
    "samconfig.toml",
    "functions",
    "protocol/requirements.txt",
    "protocol/logferry_protocol",
    "infra/agent",
    "infra/nested",
    "infra/samples",
    "infra/setup",
    "infra/targets",
    "requirements",
    "web/dist",
)
"""The files and folders of the repository that the wheel carries, with the same relative paths."""
STACK: Final = "logferry_cli/stack"
FIRST_PAGE: Final = "web/dist/index.html"
LEFT_OUT_FOLDERS: Final = frozenset({"__pycache__", ".aws-sam"})
LEFT_OUT_FILES: Final = frozenset({"web/dist/config.json"})
"""The local cloud's own configuration. A deployment writes its own."""


class StackHook(BuildHookInterface[Any]):
    """Adds the stack's files to a wheel."""

    _copy: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Choose the files, before the wheel is written.

        Args:
            version: `standard` for a wheel, `editable` for an installation in place.
            build_data: What hatchling adds to the wheel.

        Raises:
            FileNotFoundError: The viewer is not built, or another of the files is not there.
        """
        if version != "standard":
            return
        root = Path(self.root)
        for name in (*CARRIED, FIRST_PAGE):
            if not (root / name).exists():
                raise FileNotFoundError(f"The wheel carries {name}, which is missing. `make dist` builds the viewer.")
        # A copy, because hatchling leaves a file that it is told to include elsewhere out of its package.
        self._copy = tempfile.TemporaryDirectory(prefix="logferry-stack-")
        for name in carried_files(root):
            target = Path(self._copy.name) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, target)
        build_data["force_include"][self._copy.name] = STACK

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove the copy, after the wheel is written."""
        if self._copy is not None:
            self._copy.cleanup()


def carried_files(root: Path) -> list[str]:
    """Return the paths of the files that the wheel carries, relative to the repository, sorted."""
    return sorted(name for name in _files(root) if name not in LEFT_OUT_FILES)


def _files(root: Path) -> Iterator[str]:
    for name in CARRIED:
        source = root / name
        for path in [source] if source.is_file() else source.rglob("*"):
            if path.is_file() and not LEFT_OUT_FOLDERS.intersection(path.relative_to(root).parts):
                yield path.relative_to(root).as_posix()
