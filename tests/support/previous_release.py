"""Check out the programs of the previous release from the repository's own history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
VERSION: Final = "0.1.0"
COMMIT: Final = "59627e7ab85740a80702275cb4ffebbae1fcb675"
PACKAGES: Final = {
    "logferry_agent": "agent",
    "logferry_protocol": "protocol",
    "logferry_cli": "cli",
    "logferry_local": "infra/local",
}
"""The folder of each Python package, in the release and now."""
INSTALLED: Final = (".venv", ".venv-cloud", ".venv-sam", ".venv-tools", "web/node_modules")


@dataclass(frozen=True, slots=True)
class Release:
    """A checkout of the release. Its programs run in the environments of this checkout."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that make `python` import the release's packages instead of our installed ones."""
        return {"PYTHONPATH": os.pathsep.join(str(self.root / folder) for folder in PACKAGES.values())}

    @property
    def logferry(self) -> list[str]:
        """Return the command `logferry` of the release, to be run in its `environment`."""
        return [sys.executable, "-c", "from logferry_cli.app import main; main()"]

    def build_viewer(self) -> Path:
        """Build the release's viewer with the packages of ours; return the folder with its pages."""
        web = self.root / "web"
        if not (web / "dist").exists():
            vite = web / "node_modules" / ".bin" / "vite"
            done = subprocess.run([vite, "build"], cwd=web, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return web / "dist"


def check_out(folder: Path) -> Release:
    """Write the release's files into `folder`. Skip the test if the history does not contain the release."""
    archive = folder / "release.tar"
    git = ["git", "-C", str(ROOT), "archive", "--output", str(archive), COMMIT]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"git is not installed, which takes {VERSION} out of the history")
    if done.returncode != 0:
        pytest.skip(
            f"the history of {VERSION} ({COMMIT[:7]}) is not here: `git fetch --unshallow` brings it into a shallow "
            "clone; an archive of the sources has none"
        )
    release = Release(folder / VERSION)
    with tarfile.open(archive) as files:
        files.extractall(release.root, filter="data")
    archive.unlink()
    for name in INSTALLED:
        (release.root / name).symlink_to(ROOT / name)
    assert_imported(release)
    return release


def assert_imported(release: Release) -> None:
    """Check that each package comes from the release, and none from this checkout."""
    script = f"import json; print(json.dumps({{n: __import__(n).__file__ for n in {list(PACKAGES)}}}))"
    environment = os.environ | release.environment
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    found = json.loads(done.stdout)
    wanted = {name: str(release.root / folder / name / "__init__.py") for name, folder in PACKAGES.items()}
    assert found == wanted
