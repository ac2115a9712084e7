"""Choose the engine's socket where nothing names one: Docker's, else that of this user's rootless Docker.

Podman offers Docker's API at sockets of its own. The agent cannot read it exactly, so where only Podman is, it says so
at once instead of waiting for an engine that never comes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SYSTEM: Final = "/var/run/docker.sock"
PODMAN: Final = "/run/podman/podman.sock"


class OnlyPodmanError(Exception):
    """There is a socket of Podman's, and none of Docker's. The message says what to do."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        super().__init__(socket)

    def __str__(self) -> str:
        return (
            f"there is no Docker Engine, only Podman at {self.socket}, whose API does not give log lines exactly. Run"
            " the containers with Docker Engine, or set docker_host (LOGFERRY_DOCKER_HOST) to the engine that you mean"
            " (docs/docker-engines.md)"
        )


@dataclass(frozen=True, slots=True)
class DefaultSocket:
    """The socket to use."""

    host: str | None
    """Its address; None for Docker's default path, also where nothing is there yet."""
    advice: str = ""
    """For the operator while nothing answers there: which other sockets there are, and what to set."""


def choose_socket(
    environment: Mapping[str, str], uid: int, exists: Callable[[str], bool], runtime_folders: Iterable[str]
) -> DefaultSocket:
    """Return the socket to use.

    Args:
        environment: The environment variables.
        uid: The agent's user.
        exists: Whether there is a file at a path.
        runtime_folders: The folders of users who are logged in (`/run/user/1000`), for the advice.

    Raises:
        OnlyPodmanError: There is only Podman.
    """
    if exists(SYSTEM):
        return DefaultSocket(None)
    own = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    if exists(rootless := f"{own}/docker.sock"):
        return DefaultSocket(f"unix://{rootless}")
    # Another user's engine is never chosen by itself: nobody named it.
    others = [path for folder in sorted(runtime_folders) if exists(path := f"{folder}/docker.sock")]
    if others:
        return DefaultSocket(None, f"there is a rootless engine: set docker_host=unix://{others[0]} to read it")
    for path in (f"{own}/podman/podman.sock", PODMAN):
        if exists(path):
            raise OnlyPodmanError(path)
    return DefaultSocket(None)


def find_default_socket(environment: Mapping[str, str]) -> DefaultSocket:
    """Return the socket to use on this machine.

    Raises:
        OnlyPodmanError: There is only Podman.
    """
    try:
        folders = [str(path) for path in Path("/run/user").iterdir()]
    except OSError:
        folders = []
    return choose_socket(environment, os.geteuid(), os.path.exists, folders)
