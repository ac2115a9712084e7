"""Build the sdist and the wheel from a copy of the repository's files, with the viewer built in that copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.release.programs import DistError, run

ROOT: Final = Path(__file__).resolve().parents[2]
UV: Final = ROOT / ".venv-tools" / "bin" / "uv"
PYTHON: Final = ROOT / ".venv" / "bin" / "python"
"""Has the locked hatchling, so that building needs no index."""


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The two files of a release."""

    sdist: Path
    wheel: Path

    def same_bytes(self, other: Artefacts) -> bool:
        """Return whether the other two files have the same names and bytes."""
        return all(
            mine.name == theirs.name and mine.read_bytes() == theirs.read_bytes()
            for mine, theirs in ((self.sdist, other.sdist), (self.wheel, other.wheel))
        )


def uncommitted() -> list[str]:
    """Return what `git status` shows of the repository, a line a file; empty when the tree is clean."""
    return _git("status", "--porcelain").splitlines()


def copy_tree(folder: Path) -> None:
    """Copy every file that git tracks, or would with `git add`, into a folder. What builds and runs left stays out.

    Raises:
        DistError: This is not a git checkout.
    """
    for name in _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source = ROOT / name
        if name and source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build_viewer(tree: Path) -> None:
    """Build web/dist in a copy of the tree, with the locked packages of this checkout."""
    modules = tree / "web" / "node_modules"
    modules.symlink_to(ROOT / "web" / "node_modules")
    try:
        run(["npm", "run", "--silent", "build"], cwd=tree / "web", env={**os.environ, "CI": "1", "NO_COLOR": "1"})
    finally:
        modules.unlink()


def build(tree: Path, folder: Path) -> Artefacts:
    """Build the sdist from a tree whose viewer is built, and the wheel from the sdist.

    Args:
        tree: The copied tree.
        folder: Where the two files go.
    """
    run([*_uv_build(folder), tree], env=with_commit_time(os.environ))
    return Artefacts(_only(folder, "*.tar.gz"), _only(folder, "*.whl"))


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel alone, from a tree or an sdist."""
    run([*_uv_build(folder), "--wheel", source], env=with_commit_time(os.environ))
    return _only(folder, "*.whl")


def with_commit_time(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the files in the artefacts get the time of the last commit."""
    return {**environment, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct").strip()}


def _uv_build(folder: Path) -> list[str | Path]:
    options = ("--quiet", "--no-create-gitignore", "--no-build-isolation")
    return [UV, "build", *options, "--python", PYTHON, "--out-dir", folder]


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise DistError(f"The build made {len(found)} files {pattern} in {folder}, not one.")
    return found[0]


def _git(*words: str) -> str:
    return run(["git", "-C", ROOT, *words], env=os.environ)
