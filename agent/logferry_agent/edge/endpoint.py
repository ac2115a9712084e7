"""Find the engine's address from the agent's setting, the environment, or Docker's current context.

The order is that of the docker command: the setting, `DOCKER_HOST`, `DOCKER_CONTEXT`, the context that `docker context
use` chose, else the default socket (default_socket.py). The docker command need not be installed.

The `docker` package can read contexts too, with three faults. It takes a missing context for the default one. It looks
for contexts in the working directory where there is no `config.json`. It ignores a certificate authority that comes
without a client's certificate. An agent must not read another engine than the one that was named, so the files are read
here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import docker.utils
import structlog
from docker.errors import TLSParameterError
from docker.tls import TLSConfig

from .default_socket import find_default_socket

log = structlog.get_logger()

_DEFAULT: Final = "default"


class EndpointError(Exception):
    """Docker's context cannot be used. The message says why and what to do."""

    def __init__(self, context: str, problem: str) -> None:
        self.context = context
        self.problem = problem
        super().__init__(context, problem)

    def __str__(self) -> str:
        return (
            f"Docker's context {self.context!r} {self.problem}. Choose another (`docker context use`, DOCKER_CONTEXT),"
            " or set DOCKER_HOST or the agent's docker_host"
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address and TLS settings. None: the socket at its default path, and no TLS."""

    host: str | None = None
    tls: TLSConfig | None = None
    advice: str = ""
    """For the operator while nothing answers there."""

    @property
    def local(self) -> bool:
        """Whether it is a socket of this machine, so that the engine's files may be readable here."""
        return self.host is None or self.host.startswith("unix://")


def find_endpoint(docker_host: str | None = None, environment: Mapping[str, str] | None = None) -> Endpoint:
    """Return the engine's address.

    Args:
        docker_host: The agent's setting, which has precedence.
        environment: The environment variables; None: the process's own.

    Raises:
        EndpointError: Docker's context does not exist, or cannot be read.
        OnlyPodmanError: Nothing names an engine, and there is only Podman.
    """
    environment = os.environ if environment is None else environment
    if not docker_host and not environment.get("DOCKER_HOST"):
        folder = Path(environment.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
        context = environment.get("DOCKER_CONTEXT") or _chosen(folder)
        if context != _DEFAULT:
            return _of_context(folder, context)
    try:
        # For an empty mapping the package would use the process's own environment.
        known = cast(dict[str, Any], docker.utils.kwargs_from_env(dict(environment) or {"": ""}))
    except TLSParameterError as error:
        raise EndpointError(_DEFAULT, f"cannot be used: {str(error).splitlines()[0]}") from error
    if not (host := docker_host or known.get("base_url")):
        default = find_default_socket(environment)
        return Endpoint(default.host, known.get("tls"), default.advice)
    return Endpoint(host, known.get("tls"))


def _chosen(folder: Path) -> str:
    """Return the context that `docker context use` chose.

    Like the docker command, take a damaged file for a missing one, with a warning.
    """
    try:
        document = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        return _DEFAULT
    except (OSError, ValueError) as error:
        log.warning("docker_config_unreadable", file=str(folder / "config.json"), reason=str(error))
        return _DEFAULT
    name = document.get("currentContext") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name else _DEFAULT


def _of_context(folder: Path, name: str) -> Endpoint:
    identity = hashlib.sha256(name.encode()).hexdigest()
    file = folder / "contexts" / "meta" / identity / "meta.json"
    try:
        found = json.loads(file.read_bytes())["Endpoints"]["docker"]
        host, lax = str(found.get("Host") or "") or None, bool(found.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise EndpointError(name, f"does not exist: there is no {file}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EndpointError(name, f"cannot be read: {file}: {error!r}") from error
    return Endpoint(host, _tls_of(folder / "contexts" / "tls" / identity / "docker", name, lax=lax))


def _tls_of(folder: Path, context: str, *, lax: bool) -> TLSConfig | None:
    """Return the TLS settings of a context's certificates; None where it has none."""
    ca, cert, key = (str(path) if (path := folder / f"{kind}.pem").exists() else None for kind in ("ca", "cert", "key"))
    if (cert is None) != (key is None):
        raise EndpointError(context, f"has only one of cert.pem and key.pem in {folder}")
    if not (ca or cert or lax):
        return None
    client = (cert, key) if cert is not None and key is not None else None
    try:
        return TLSConfig(client_cert=client, ca_cert=ca, verify=not lax)
    except TLSParameterError as error:
        raise EndpointError(context, f"cannot be used: {str(error).splitlines()[0]}") from error
