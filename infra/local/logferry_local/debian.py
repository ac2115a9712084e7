"""Make image contents from Debian packages, for machines that reach a package mirror but no image registry."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from logferry_state.errors import StepFailedError

ADVICE = "Check the machine's package sources (/etc/apt) with `apt-get update`."
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian")


def is_debian() -> bool:
    """Return whether this machine has apt and dpkg, and so packages of its own kind."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def download(packages: Sequence[str], folder: Path) -> list[Path]:
    """Download the .deb files of packages and their dependencies into `folder`, and keep them there.

    apt is shown an empty list of installed packages, so that it fetches the whole tree. The machine itself is not
    changed.

    Raises:
        StepFailedError: apt failed.
    """
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    status = folder / "status"
    status.touch()
    command = [
        *(
            "apt-get",
            "-q",
            "-y",
            "-o",
            f"Dir::State::status={status.absolute()}",
            "-o",
            f"Dir::Cache::archives={folder.absolute()}",
        ),
        *("-o", "APT::Install-Recommends=false", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"),
        *("--download-only", "install", *packages),
    ]
    done = _apt(command)
    if done.returncode != 0 and os.geteuid() == 0:
        _apt(["apt-get", "-q", "update"])
        done = _apt(command)
    if done.returncode != 0:
        raise StepFailedError(f"Downloading {', '.join(packages)} failed: {done.stderr.strip()[-300:]}", ADVICE)
    return sorted(folder.glob("*.deb"))


def _apt(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )


def unpack(files: Sequence[Path], root: Path) -> None:
    """Unpack the packages over each other, without documentation.

    Raises:
        StepFailedError: A package cannot be unpacked.
    """
    root.mkdir(parents=True, exist_ok=True)
    for file in files:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE) as opened:
            excluded = [f"--exclude=./{name}" for name in LEFT_OUT]
            # Symlinked folders (/bin -> usr/bin) must stay symlinks when a package has a folder of that name.
            laid = subprocess.run(
                ["tar", "-x", "--keep-directory-symlink", "-C", str(root), *excluded], stdin=opened.stdout, check=False
            )
        if opened.returncode != 0 or laid.returncode != 0:
            raise StepFailedError(f"Unpacking {file.name} failed.", f"Remove {file} and try again.")
