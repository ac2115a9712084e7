"""A host that runs systemd: its users, its services, and its journal."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from logferry_cli.problems import Problem

BOOTED: Final = Path("/run/systemd/system")
"""This folder exists where systemd is the init system (sd_booted(3))."""
ENGINE_SOCKET: Final = Path("/var/run/docker.sock")
WITHOUT_SYSTEMD: Final = (
    "Run the agent as a container instead: docs/install-the-agent.md has the command and a Compose file."
)


def require_systemd() -> None:
    """Check that services can be installed.

    Raises:
        Problem: systemd does not run here, or this is not root.
    """
    if not BOOTED.is_dir():
        raise Problem("This host does not run systemd, so there can be no service.", WITHOUT_SYSTEMD)
    if os.geteuid() != 0:
        raise Problem("Only root can install a service.", "Run the command again with sudo.")


def find_user(name: str) -> pwd.struct_passwd | None:
    """Return a user; None when there is none with this name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def make_user(name: str) -> pwd.struct_passwd:
    """Make a system user without a home and without a shell.

    Raises:
        Problem: It cannot be made.
    """
    # Not nologin: its path differs from distribution to distribution.
    run("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", name)
    return pwd.getpwnam(name)


def engine_group() -> str | None:
    """Return the group that may use the engine's socket; None where there is no such group."""
    try:
        group = grp.getgrgid(ENGINE_SOCKET.stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "docker"
    if group == "root":
        return None
    try:
        return grp.getgrnam(group).gr_name
    except KeyError:
        return None


def rootless_socket(user: pwd.struct_passwd) -> str | None:
    """Return the address of a user's own Docker Engine (rootless mode), where the host has no other one."""
    path = Path(f"/run/user/{user.pw_uid}/docker.sock")
    return f"unix://{path}" if path.exists() and not ENGINE_SOCKET.exists() else None


def check(command: Sequence[str], environment: Mapping[str, str], user: pwd.struct_passwd | None) -> tuple[int, str]:
    """Run a command as the service will run it, and return its status and what it wrote to stderr.

    Args:
        command: The command.
        environment: The service's settings.
        user: The service's user; None for this process's own.
    """
    as_user: dict[str, Any] = {}
    if user is not None and os.geteuid() == 0 and user.pw_uid != 0:
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(
            command,
            env={"PATH": os.defpath, **environment},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **as_user,
        )
    except OSError as error:
        return 126, error.strerror or str(error)
    return done.returncode, done.stderr


def run(*words: str) -> str:
    """Run a program of the host and return its output.

    Raises:
        Problem: It is missing, or it failed.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Problem(
            f"The program {words[0]} is missing on this host.", f"Install it, or do it by hand: {' '.join(words)}"
        ) from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-300:]
        raise Problem(f"`{' '.join(words)}` failed: {said}", "Repair that, and run the command again.")
    return done.stdout


def service_state(service: str) -> tuple[str, int]:
    """Return a service's state, such as `active` or `failed`, and how often systemd has restarted it."""
    shown = run("systemctl", "show", service, "--property", "ActiveState,NRestarts")
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return found.get("ActiveState", "unknown"), int(found.get("NRestarts") or 0)


def last_words(service: str) -> str:
    """Return the last line of a service's log, as a sentence for people; empty when there is none."""
    done = subprocess.run(
        ["journalctl", "--unit", service, "--lines", "5", "--output", "cat", "--no-pager"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in reversed(done.stdout.splitlines()):
        if not line.startswith(f"{service}:") and line.strip():
            return _sentence(line.strip())
    return ""


def _sentence(line: str) -> str:
    """Return what a line of the agent's own log says. On a terminal it is text, in the journal JSON."""
    try:
        found = json.loads(line)
    except ValueError:
        return line
    if not isinstance(found, dict):
        return line
    return ": ".join(str(found[name]) for name in ("event", "error", "advice") if found.get(name))
