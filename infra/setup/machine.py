"""Check and install what the machine itself needs.

That is a Docker Engine, Chromium for the browser tests, and a Python that can create virtual environments. As root on
Debian or Ubuntu, apt installs what is missing. Elsewhere this names what to install and changes nothing.
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
    """Install what is missing, where that is possible.

    Raises:
        SetupError: something is missing that the user has to install.
    """
    _node()
    missing = _missing_packages()
    if missing and _is_root_on_debian():
        say(f"installing {', '.join(missing)} with apt (once; a minute or two)")
        _apt(missing)
        missing = _missing_packages()
    for package in missing:
        if package == "chromium":
            say("no Chromium or Chrome found: the browser tests need one (the demo does not)")
        elif package == "docker.io":
            raise SetupError(
                "No Docker Engine was found. Install Docker Desktop (macOS, Windows) or your distribution's engine "
                "(Debian and Ubuntu: `sudo apt-get install docker.io`), start it, and run this again."
            )
        else:
            raise SetupError(
                "This Python cannot create virtual environments. Install what it needs "
                f"(Debian and Ubuntu: `sudo apt-get install {package}`) and run this again."
            )


def _missing_packages() -> list[str]:
    """Return Debian's names of the packages that are missing."""
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
    """Return whether any engine answers: Docker Desktop, DOCKER_HOST or a context are as good as a local one."""
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
        "Check the machine's package sources (/etc/apt), or install these packages by hand, and run this again: "
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
        # The package lists may be fresh enough. An update takes ten seconds or more.
        run(install, advice, env=quiet)
    except SetupError:
        run(["apt-get", "update", "-q"], advice, env=quiet)
        run(install, advice, env=quiet)


def _node() -> None:
    """Check Node.js, which builds the viewer. It is not installed from apt: Debian's version may be too old.

    Raises:
        SetupError: Node.js or npm is missing or too old.
    """
    advice = f"Install Node.js {OLDEST_NODE} or newer with npm (https://nodejs.org/en/download) and run this again."
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise SetupError(f"Node.js was not found. {advice}")
    version = run(["node", "--version"], advice).strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found[1]) < OLDEST_NODE:
        raise SetupError(f"Node.js {version} is too old. {advice}")
