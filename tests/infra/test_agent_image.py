"""Test how the agent's image is built: from a pinned base, for each architecture that the machine can build."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from logferry_protocol import __version__

ROOT = Path(__file__).parents[2]
BOTH = "linux/amd64,linux/arm64"


@dataclass
class Docker:
    """A stub of the docker command, with or without buildx."""

    folder: Path
    platforms: str | None
    """What the builder can run; None without buildx."""
    calls: list[list[str]] = field(default_factory=list)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the script, and note how it called docker."""
        inspected = "exit 1" if self.platforms is None else f"echo 'Platforms: {self.platforms}'"
        (self.folder / "docker").write_text(
            f'#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done >>{self.folder}/calls\n'
            f"printf '\\n' >>{self.folder}/calls\n"
            f'case "$1 $2" in "buildx version"|"buildx inspect") {inspected} ;;\n'
            '"image inspect") echo linux/amd64 ;; esac\n'
        )
        (self.folder / "docker").chmod(0o755)
        command = [str(ROOT / "infra" / "agent" / "image.sh"), *words]
        path = f"{self.folder}:/usr/local/bin:/usr/bin:/bin"
        done = subprocess.run(command, env={"PATH": path, "HOME": "/"}, capture_output=True, text=True, check=False)
        self.calls = [call.rstrip("\0").split("\0") for call in (self.folder / "calls").read_text().splitlines()]
        return done

    def builds(self) -> list[list[str]]:
        """Return the builds, with buildx or without."""
        return [call for call in self.calls if call[:2] == ["buildx", "build"] or call[0] == "build"]


def test_base_is_pinned_by_digest_and_tag() -> None:
    """The tag says to a reader which Python the digest is."""
    text = (ROOT / "agent" / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE=python:3\.13\.\d+-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.MULTILINE)


def test_image_is_built_for_both_architectures_with_buildx(tmp_path: Path) -> None:
    """An engine holds images of its own architecture, so both go into an archive."""
    docker = Docker(tmp_path, f"{BOTH}*, linux/386".replace(",", ", "))
    done = docker.run("registry.example/agent:1")
    archive, own = docker.builds()
    assert archive[archive.index("--platform") + 1] == BOTH
    assert "--load" in own
    assert "--platform" not in own
    assert (done.returncode, BOTH in done.stdout) == (0, True)


def test_pushed_image_has_both_architectures_with_buildx(tmp_path: Path) -> None:
    """One build pushes the index of both."""
    docker = Docker(tmp_path, "linux/amd64, linux/arm64")
    assert docker.run("--push", "registry.example/agent:1").returncode == 0
    (build,) = docker.builds()
    assert build[build.index("--platform") + 1] == BOTH
    assert "--push" in build


@pytest.mark.parametrize(
    ("platforms", "reason"),
    [(None, "buildx is not installed"), ("linux/amd64, linux/386", "cannot run programs for linux/arm64")],
)
def test_image_for_one_architecture_says_why(platforms: str | None, reason: str, tmp_path: Path) -> None:
    """It is pushed all the same."""
    docker = Docker(tmp_path, platforms)
    done = docker.run("--push", "registry.example/agent:1")
    (build,) = docker.builds()
    assert build[0] == "build"
    assert ["push", "registry.example/agent:1"] in docker.calls
    assert done.stdout.startswith("registry.example/agent:1 is for linux/amd64 alone: ")
    assert reason in done.stdout


def test_label_names_version_and_commit(tmp_path: Path) -> None:
    """The default tag is the version, too."""
    docker = Docker(tmp_path, None)
    docker.run()
    (build,) = docker.builds()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert build[build.index("-t") + 1] == f"logferry-agent:{__version__}"
    given = dict(word.split("=", 1) for word in build if word.startswith(("VERSION=", "REVISION=", "SOURCE=")))
    assert given["VERSION"] == __version__
    assert given["REVISION"].removesuffix("-dirty") == head
    text = (ROOT / "agent" / "Dockerfile").read_text()
    assert all(f'"${{{name}}}"' in text for name in given), "each is a label"


def test_source_label_has_no_credentials(tmp_path: Path) -> None:
    """A clone's address may contain a token, and an image is public."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    address = "https://user:secret@git.example/logferry.git"
    subprocess.run(["git", "remote", "add", "origin", address], cwd=tmp_path, check=True)
    script = ROOT / "infra" / "agent" / "revision.sh"
    found = subprocess.run([script, "--source"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found == "https://git.example/logferry.git\n"


def test_push_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("")
    done = Docker(tmp_path, None).run("--push")
    assert (done.returncode, "REGISTRY/NAME:TAG" in done.stderr) == (2, True)
