"""Check this host's agent: its settings, the Docker Engine, its spool, and whether the cloud accepts it.

These are checks of `logferry doctor --agent`. They use the agent's own settings and code, so they need the extra
`agent`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from logferry_cli import network_causes, probe
from logferry_cli.agent_files import ENVIRONMENT_PATH
from logferry_cli.checkup import Checkup, SkipError, WarningError
from logferry_cli.problems import Problem
from logferry_cli.systemd_unit import parse_environment

if TYPE_CHECKING:
    from logferry_agent.settings import Settings

ENVIRONMENT: Final = Path(ENVIRONMENT_PATH)
"""Where `logferry agent install` writes the settings."""

DEFAULT_SOCKET: Final = "unix:///var/run/docker.sock"
LEAST_FREE_BYTES: Final = 64 << 20
"""With less room on its disk, a spool soon takes no writes."""


def read_environment_file(path: Path) -> dict[str, str]:
    """Return the variables of a file as systemd's `EnvironmentFile=` has them.

    Raises:
        Problem: It cannot be read.
    """
    try:
        return parse_environment(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise Problem(f"{path} may not be read by this user.", "Run the command with sudo.") from None
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}.") from None


async def examine(checkup: Checkup, patience: float) -> None:
    """Make every check of this host's agent, and note the results."""
    settings: Settings | None = None
    async with checkup.check("agent's settings", "See docs/agent-settings.md.") as said:
        settings = _settings()
        said.append(f"for {settings.agents_url}")
    async with checkup.check("Docker Engine") as said:
        if settings is None:
            raise SkipError("without settings")
        said.append(await asyncio.to_thread(_engine, settings.docker_host))
    async with checkup.check("spool") as said:
        if settings is None:
            raise SkipError("without settings")
        said.append(await asyncio.to_thread(_spool, settings))
    async with checkup.check("cloud accepts the agent") as said:
        if settings is None:
            raise SkipError("without settings")
        said.append(await _accepted(settings, patience))


def _settings() -> Settings:
    from logferry_agent.settings import SettingsError, load  # noqa: PLC0415 - an extra that other commands do without

    try:
        return load({})
    except SettingsError as error:
        sentences = "; ".join(str(error).splitlines())
        raise Problem(f"The agent's settings are invalid: {sentences}.") from None


def _engine(docker_host: str | None) -> str:
    from logferry_agent.edge.docker_client import (  # noqa: PLC0415
        EngineUnavailableError,
        UnsupportedEngineError,
        connect,
    )
    from logferry_agent.edge.endpoint import EndpointError, find_endpoint  # noqa: PLC0415

    try:
        where = find_endpoint(docker_host).host or DEFAULT_SOCKET
        engine = connect(docker_host).identity()
    except EndpointError as error:
        raise Problem(f"{error}.") from None
    except UnsupportedEngineError as error:
        raise Problem(f"{str(error)[0].upper()}{str(error)[1:]}.") from None
    except EngineUnavailableError as error:
        raise engine_problem(where, error) from None
    return f"{engine.name}, Docker {engine.version}"


def engine_problem(where: str, error: BaseException) -> Problem:
    """Return why the engine at an address does not answer."""
    path = urlsplit(where).path if where.startswith("unix:") else ""
    numbers = {one.errno for one in network_causes.carried_errors(error) if isinstance(one, OSError)}
    start = "Start it (`sudo systemctl start docker`)"
    if numbers & {errno.EACCES, errno.EPERM}:
        return Problem(
            f"The user {_user()} may not use the Docker Engine's socket {path or where}.",
            f"Run the agent as root or in the group of the socket{_group_of(path)}, and log in again afterwards.",
        )
    if errno.ENOENT in numbers:
        return Problem(
            f"The Docker Engine is down or elsewhere: there is no socket {path or where}.",
            f"{start}, or name its socket in DOCKER_HOST.",
        )
    if errno.ECONNREFUSED in numbers:
        return Problem(f"The Docker Engine is down: nothing listens at {path or where}.", f"{start}.")
    return Problem(f"{str(error)[0].upper()}{str(error)[1:]}.", f"{start}, and see its log (`journalctl -u docker`).")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group_of(path: str) -> str:
    try:
        group = Path(path).group()
    except (OSError, KeyError, ValueError):
        return ""
    return f" (`sudo usermod -aG {group} {_user()}`)"


def _spool(settings: Settings) -> str:
    from logferry_agent.edge.health import ask  # noqa: PLC0415

    folder = settings.spool_dir
    try:
        _, body = ask(folder, "/status")
    except PermissionError:
        raise Problem(f"This user may not read the spool {folder}.", "Run the command with sudo.") from None
    except OSError:
        status = None
    else:
        status = json.loads(body)
    if status and (status["spool"]["full"] or status["spool"]["stuck"]):
        spool = status["spool"]
        raise _full(folder, spool["bytes"], spool["limit"], stuck=spool["stuck"], policy=settings.spool_policy)
    free = shutil.disk_usage(_existing(folder)).free
    if free < min(LEAST_FREE_BYTES, settings.spool_limit):
        raise Problem(
            f"The disk of the spool {folder} is full: {free >> 20} MiB are free.",
            "Make room, or put the spool on another disk (LOGFERRY_SPOOL_DIR).",
        )
    if status is None:
        raise WarningError(f"no agent runs with the spool {folder}: start it, or check LOGFERRY_SPOOL_DIR")
    used, limit = status["spool"]["bytes"], status["spool"]["limit"]
    if status["troubles"]:
        raise WarningError(f"the running agent reports: {'; '.join(status['troubles'])}")
    return f"{used / limit:.0%} of {limit >> 20:,} MiB; the agent {status['version']} runs"


def _full(folder: Path, used: int, limit: int, *, stuck: bool, policy: str) -> Problem:
    if stuck:
        return Problem(
            f"The disk of the spool {folder} takes no writes, so the agent has stopped reading.",
            "Make room on it, or check the disk (`dmesg`).",
        )
    does = "has stopped reading" if policy == "block" else "drops the oldest lines"
    return Problem(
        f"The spool {folder} is full ({used >> 10:,} of {limit >> 10:,} KiB), so the agent {does}.",
        "It empties when the cloud takes its lines: see the check below. LOGFERRY_SPOOL_LIMIT sets its size.",
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


async def _accepted(settings: Settings, patience: float) -> str:
    from logferry_agent.app import tls_of  # noqa: PLC0415
    from logferry_agent.edge.credentials import CredentialError  # noqa: PLC0415

    try:
        token = await asyncio.to_thread(settings.credential().token)
    except CredentialError as error:
        raise Problem(f"The agent has no credential: {error}.") from None
    tls = tls_of(settings) if settings.agents_url.startswith("wss:") else None
    async with probe.agents_socket(settings.agents_url, token, patience, tls) as socket:
        offset = socket.clock_offset_s
        if offset is not None and (problem := network_causes.of_clock(offset)):
            raise problem
    return "handshake, key and clock" if offset is not None else "handshake and key"


def environment_of(file: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the variables to add to the environment: those of the named file, else of the installed agent's."""
    if file is None and ("LOGFERRY_AGENTS_URL" in os.environ or not ENVIRONMENT.exists()):
        return
    yield from read_environment_file(file or ENVIRONMENT).items()
