"""What the machine itself must have.

A Docker Engine, Chromium for the browser tests, and a Python that can make virtual environments.

Installed with apt where we are root on Debian or Ubuntu; elsewhere we say exactly what to install and change nothing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys

from programs import SetupError, run, say

OLDEST_NODE = 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def prepare() -> None:
    """Installs what is missing where we may; raises SetupError naming what is needed and not there."""
    _node()
    missing = _missing_packages()
    if missing and _is_root_on_debian():
        say(f"installing {', '.join(missing)} with apt (once; a minute or two)")
        _apt(missing)
        missing = _missing_packages()
    for package in missing:
        if package == "chromium":
            say("no Chromium or Chrome found: the browser tests need one (the demonstration does not)")
        elif package == "docker.io":
            raise SetupError(
                "No Docker Engine was found. Install Docker Desktop (macOS, Windows) or your distribution's engine "
                "(Debian and Ubuntu: `sudo apt-get install docker.io`), start it, and run this again."
            )
        else:
            raise SetupError(
                "This Python cannot make virtual environments. Install what it needs "
                f"(Debian and Ubuntu: `sudo apt-get install {package}`) and run this again."
            )


def _missing_packages() -> list[str]:
    """Debian's names of what is not there."""
    missing = []
    if importlib.util.find_spec("ensurepip") is None:
        missing.append(
            f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            if sys.executable != "/usr/bin/python3"
            else "python3-venv"
        )
    if not (_has("dockerd") or _engine_answers()):
        missing.append("docker.io")
    if not (any(_has(name) for name in CHROMIUM_NAMES) or os.path.exists(MAC_CHROME)):
        missing.append("chromium")
    return missing


def _has(program: str) -> bool:
    # dockerd lives in /usr/sbin, which is not on every PATH.
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin") is not None


def _engine_answers() -> bool:
    """An engine elsewhere (Docker Desktop, DOCKER_HOST, a context) is as good as one of our own."""
    if not _has("docker"):
        return False
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _is_root_on_debian() -> bool:
    return (
        hasattr(os, "geteuid")
        and os.geteuid() == 0
        and os.path.exists("/etc/debian_version")
        and shutil.which("apt-get") is not None
    )


def _apt(packages: list[str]) -> None:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    advice = (
        "Look at the machine's package sources (/etc/apt), or install these packages by hand, and run this again: "
        + " ".join(packages)
    )
    install = [
        "apt-get",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        *packages,
        *(["iptables"] if "docker.io" in packages else []),
    ]
    try:
        # The lists may be there and fresh enough; an update costs ten seconds or more.
        run(install, advice, env=quiet)
    except SetupError:
        run(["apt-get", "update", "-q"], advice, env=quiet)
        run(install, advice, env=quiet)


def _node() -> None:
    """The viewer is built with Node; Debian's own may be too old, so it is asked for, not installed."""
    advice = f"Install Node.js {OLDEST_NODE} or newer with npm (https://nodejs.org/en/download) and run this again."
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise SetupError(f"Node.js was not found. {advice}")
    version = run(["node", "--version"], advice).strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found[1]) < OLDEST_NODE:
        raise SetupError(f"Node.js {version} is too old. {advice}")
