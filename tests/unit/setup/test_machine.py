"""Test set-up on machines that lack something: what is installed, and what the user is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[3] / "infra" / "setup"
PREPARE = "import machine; machine._is_root_on_debian = lambda: {root}; machine.prepare()"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Provide a folder as the whole PATH: a recent Node, and an engine that answers."""
    for name, says in (("node", "v20.19.0"), ("npm", "11"), ("docker", "26.1.5")):
        program(tmp_path, name, f"echo {says}")
    return tmp_path


def program(folder: Path, name: str, does: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


def prepare(programs: Path, *, root: bool) -> subprocess.CompletedProcess[str]:
    """Run the first step of `make setup` as a process."""
    environment = {**os.environ, "PATH": str(programs), "PYTHONPATH": str(SETUP), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PREPARE.format(root=root)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_missing_program_is_installed_where_permitted(programs: Path) -> None:
    """With apt, without questions, after an update when the lists are too old."""
    program(
        programs,
        "apt-get",
        f"""
echo "$DEBIAN_FRONTEND $*" >> {programs}/calls
if [ "$1" = update ]; then : > {programs}/updated; exit 0; fi
if [ ! -e {programs}/updated ]; then echo "E: Unable to locate package" >&2; exit 100; fi
echo '#!/bin/sh' > {programs}/chromium
/bin/chmod +x {programs}/chromium""",
    )
    done = prepare(programs, root=True)
    assert done.returncode == 0, done.stderr
    calls = (programs / "calls").read_text().splitlines()
    install = "noninteractive install -y -q --no-install-recommends chromium"
    assert calls == [install, "noninteractive update -q", install]
    assert "no Chromium" not in done.stderr


def test_without_permission_nothing_changes_and_the_user_is_told(programs: Path) -> None:
    """Only tests need Chromium, so its absence stops nobody."""
    program(programs, "apt-get", f"touch {programs}/calls")
    done = prepare(programs, root=False)
    assert done.returncode == 0
    assert "the browser tests need one" in done.stderr
    assert not (programs / "calls").exists()


@pytest.mark.parametrize("version", ["v18.19.0", "v16.0.0", "nonsense"])
def test_old_node_is_reported_with_where_to_get_a_newer_one(programs: Path, version: str) -> None:
    """Debian's own may be too old, so it is requested and not installed."""
    program(programs, "node", f"echo {version}")
    done = prepare(programs, root=False)
    assert done.returncode != 0
    assert f"Node.js {version} is too old. Install Node.js 20 or newer" in done.stderr


def test_missing_node_is_reported_with_its_address(programs: Path) -> None:
    """In one sentence."""
    (programs / "node").unlink()
    assert "https://nodejs.org" in prepare(programs, root=False).stderr
