"""Connect to a Docker Engine by its socket, by TCP with TLS, or by ssh (see endpoint.py).

Only the needed part of the API is here: the engine's identity, the list, inspect, events, and log streams as raw bytes
in large reads. A proxy may stand in between, so nothing here relies on where HTTP's chunks begin and end.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, Final

import docker
import docker.errors
import requests
import requests.exceptions
import structlog
import urllib3.exceptions
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

from logferry_protocol.job import CONTAINER_PATTERN

from ..core.parsing.engine_values import document, mapping, text
from .endpoint import find_endpoint

log = structlog.get_logger()

_CLOSE_S: Final = 1.0
"""Seconds that `close` waits for a thread that reads."""

_READ_BYTES: Final = 262_144
_NAP_S: Final = 0.00015
"""Seconds between two reads of a burst: what an engine needs to write a hundred lines."""
_BURST_S: Final = 0.02
"""Seconds at most for which a burst is collected: lines that trickle in after a burst must not wait."""
_TIMEOUT_S: Final = 20.0
_CONNECTIONS: Final = 64
_VERSION: Final = "1.41"
"""The API version used until the engine has told its own. Docker 20.10 is the oldest that is tested."""
_BARE: Final = "http+docker://bare"
"""Prefix of addresses that are requested in HTTP/1.0, over a socket of this machine."""
_MAX_EVENT_BYTES: Final = 16 << 20
"""A stream without a newline for this long holds no events. Docker's longest events hold a container's labels."""
_RAW: Final = {"Accept-Encoding": "identity"}
"""For responses that are read below the package that would decompress them; a proxy may compress."""
_PODMAN: Final = "Podman Engine"
"""The component that `/version` names for Podman."""
_PODMAN_SERVER: Final = "Libpod/"
"""Prefix of the header `Server` in each of Podman's responses."""
_INSTANCE: Final = re.compile(r"[A-Za-z0-9:_-]{1,128}")
_CONTAINER: Final = re.compile(CONTAINER_PATTERN)
_TROUBLE: Final = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
    KeyError,
)


class EngineError(Exception):
    """The engine refused or did not answer. Base class of this module's errors."""


class EngineUnavailableError(EngineError):
    """The engine cannot be reached; try again later."""

    def __init__(self, reason: object) -> None:
        self.reason = str(reason)
        super().__init__(self.reason)

    def __str__(self) -> str:
        return f"the Docker Engine cannot be reached: {self.reason[:300]}"


class UnsupportedEngineError(EngineUnavailableError):
    """The engine is not Docker's, and its logs cannot be read exactly."""

    def __str__(self) -> str:
        return (
            f"this is {self.reason[:40]}, not a Docker Engine: its API rounds the times of log lines to seconds and"
            " gives lines in another order, so the agent does not read its logs. Set the agent's"
            " docker_host, DOCKER_HOST or Docker's context to a Docker Engine (docs/docker-engines.md)"
        )


class ContainerGoneError(EngineError):
    """The container is removed, or being removed (404, 409, or a 500 where the two raced)."""


class LogsUnreadableError(EngineError):
    """The container's logging driver cannot be read (501)."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return self.reason[:300]


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's identity.

    Attributes:
        root: Its data root, on its own machine.
        driver: Its default logging driver.
        time: Its clock's time when it was asked.
    """

    id: str
    name: str
    version: str
    root: str
    driver: str
    time: str


class LogResponse:
    """The body of one logs or events response, read in large pieces."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
        # Read below urllib3 and http.client: both would parse a chunked body piece by piece, at several microseconds
        # each.
        raw: Any = response.raw
        self._reader: Any = raw._fp.fp
        self._decoded: Any = raw._fp
        self._socket = _plain_socket(self._reader)
        self._reading = Lock()

    def read(self, *, together: int = 0) -> bytes:
        """Return what has come, at least one byte; empty at the end. Waits.

        Args:
            together: Number of bytes up to which to collect a burst. A socket of this machine holds some 50 KB of short
                lines, and then the engine waits. So the socket is emptied often, and the lines are processed together.

        Raises:
            EngineUnavailableError: The connection broke.
        """
        try:
            with self._reading:
                if self._reader is None:
                    return b""
                data = bytes(self._reader.read1(_READ_BYTES))
                return _with_more(data, self._socket, together) if data and self._socket is not None else data
        except (OSError, ValueError) as error:
            raise EngineUnavailableError(error) from error

    def read_decoded(self) -> bytes:
        """Return what has come, at least one byte, without HTTP's chunked coding; empty at the end. Waits.

        Do not mix with `read`.

        Raises:
            EngineUnavailableError: The connection broke.
        """
        try:
            with self._reading:
                return bytes(self._decoded.read1(_READ_BYTES))
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise EngineUnavailableError(error) from error

    def close(self) -> None:
        """Close the stream, also while another thread waits in `read`."""
        with suppress(Exception):
            # Over ssh the stream is a program's pipe, which ends only with the program.
            self._reader.channel.proc.terminate()
        with suppress(Exception):
            raw = self._reader.raw
            connection = getattr(raw, "_sock", raw)
            connection.shutdown(socket.SHUT_RDWR)
        # `close` waits uninterruptibly for the lock of a buffer that another thread reads. A stream that the shutdown
        # did not wake (seen with TLS) is left to that thread; otherwise the agent could not stop.
        if self._reading.acquire(timeout=_CLOSE_S):
            try:
                with suppress(Exception):
                    self._response.close()
            finally:
                self._reading.release()


def _plain_socket(reader: Any) -> socket.socket | None:
    """Return the socket below a reader; None for TLS and ssh, where it cannot be told how much has come."""
    found = getattr(getattr(reader, "raw", None), "_sock", None)
    return found if type(found) is socket.socket else None


def _with_more(data: bytes, connection: socket.socket, together: int) -> bytes:
    """Return what was read, and what comes immediately after it."""
    pieces, size, until = [data], len(data), time.monotonic() + _BURST_S
    with suppress(BlockingIOError):
        while size < together and time.monotonic() < until:
            time.sleep(_NAP_S)
            more = _there(connection)
            if not more:
                break  # the end, which the next read finds again
            pieces.append(more)
            size += len(more)
    return b"".join(pieces)


def _there(connection: socket.socket) -> bytes:
    """Return what has come, without waiting; empty at the end.

    Raises:
        BlockingIOError: Nothing has come.
    """
    if connection.gettimeout() is None:
        return connection.recv(_READ_BYTES, socket.MSG_DONTWAIT)
    # A socket with a timeout blocks in its methods, but not when its descriptor is read.
    return os.read(connection.fileno(), _READ_BYTES)


class _BareConnection(UnixHTTPConnection):
    """Requests in HTTP/1.0, so that the response is not chunked.

    Whether such a stream ended or broke off cannot be told. Nothing relies on it, as engines also end streams early
    without an error (see api_source.py).
    """

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


class _BarePool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        timeout: Any = self.timeout
        return _BareConnection(self.base_url, self.socket_path, timeout)


class _BareAdapter(UnixHTTPAdapter):
    def get_connection(self, url: Any, proxies: Any = None) -> _BarePool:
        # One for each request: the connection ends with the response.
        return _BarePool(url, self.socket_path, self.timeout, maxsize=1)


class DockerClient:
    """A client of one Docker Engine. Thread-safe."""

    def __init__(self, docker_host: str | None = None) -> None:
        """Find the engine's address.

        Raises:
            EndpointError: Docker's context does not exist, or cannot be read.
            OnlyPodmanError: Nothing names an engine, and there is only Podman.
        """
        self._endpoint = find_endpoint(docker_host)
        self._client: docker.APIClient | None = None
        self._version = _VERSION
        self._lock = Lock()
        self._ahead: Thread | None = None
        self._identity: Engine | None = None
        """The result of `prefetch_identity`."""

    @property
    def local(self) -> bool:
        """Whether the engine is reached by a socket of this machine, so that its files may be readable here."""
        return self._endpoint.local

    @property
    def advice(self) -> str:
        """For the operator while the engine does not answer; empty when there is none."""
        return self._endpoint.advice

    def prefetch_identity(self) -> None:
        """Start asking for the engine's identity, for the first call of `identity`: other work can go on meanwhile."""

        def ask() -> None:
            with suppress(EngineUnavailableError):  # `identity` raises the same error
                self._identity = self._ask_identity()

        self._ahead = Thread(target=ask, name="logferry-engine", daemon=True)
        self._ahead.start()

    def identity(self) -> Engine:
        """Return the engine's identity.

        Raises:
            EngineUnavailableError: The engine cannot be reached now.
        """
        if self._ahead is not None:
            self._ahead.join()
            self._ahead = None
        found, self._identity = self._identity, None
        return found or self._ask_identity()

    def _ask_identity(self) -> Engine:
        info = mapping(self._json("/info"))
        return Engine(
            id=_instance(text(info.get("ID")) or text(info.get("Name"))),
            name=text(info.get("Name")),
            version=text(info.get("ServerVersion")),
            root=text(info.get("DockerRootDir")) or "/var/lib/docker",
            driver=text(info.get("LoggingDriver")) or "json-file",
            time=text(info.get("SystemTime")),
        )

    def containers(self) -> list[dict[str, Any]]:
        """Return every container, running or not, in the engine's short form."""
        found = self._json("/containers/json", all=1)
        if not isinstance(found, list):
            raise EngineUnavailableError(
                "its list of containers is not a list"
            )  # must not look as if all containers were gone
        return [dict(one) for one in found if text(mapping(one).get("Id"))]

    def inspect(self, container: str) -> dict[str, Any]:
        """Return the engine's full description of a container.

        Raises:
            ContainerGoneError: The container is removed.
            EngineUnavailableError: The engine cannot be reached now.
        """
        found = self._json(f"/containers/{container}/json")
        if not isinstance(found, dict):
            raise EngineError(f"the engine's description of container {container} is not an object")
        return found

    def logs(self, container: str, *, follow: bool, tail: int | None = None, since: int = 0) -> LogResponse:
        """Return a container's log with timestamps.

        Args:
            container: The container's id.
            follow: Whether to wait for new entries at the end.
            tail: Return only this many last entries.
            since: Begin at this time, in nanoseconds since 1970.

        Raises:
            ContainerGoneError: The container is removed.
            LogsUnreadableError: Its logging driver cannot be read.
            EngineUnavailableError: The engine cannot be reached now.
        """
        params: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
        if tail is not None:
            params["tail"] = tail
        if since:
            params["since"] = f"{since // 1_000_000_000}.{since % 1_000_000_000:09d}"
        return LogResponse(self._get(f"/containers/{container}/logs", params, stream=True, endless=follow, bare=True))

    def events(self, since: str) -> tuple[LogResponse, Iterator[dict[str, Any] | None]]:
        """Subscribe to container events, beginning with past ones since a time.

        Returns:
            The response, and an iterator of events that ends with the connection. None stands for an event that cannot
            be parsed. The subscription is active when this returns.
        """
        params = {"filters": json.dumps({"type": ["container"]}), "since": since}
        response = LogResponse(self._get("/events", params, stream=True, endless=True))
        return response, _documents(response)

    def close(self) -> None:
        """Close idle connections."""
        if self._client is not None:
            self._client.close()

    def _json(self, path: str, **params: Any) -> Any:
        response = self._get(path, params, stream=False)
        try:
            return document(response.content)
        except _TROUBLE as error:
            raise EngineUnavailableError(error) from error

    def _get(
        self, path: str, params: dict[str, Any], *, stream: bool, endless: bool = False, bare: bool = False
    ) -> requests.Response:
        """Request a path.

        Args:
            path: The path below the API version.
            params: The query's parameters.
            stream: Whether the body is read later.
            endless: Whether the body may be silent for days.
            bare: Ask for a body that is not chunked, where the engine is reached by a socket of this machine.
        """
        try:
            client = self._connected()
            base = _BARE if bare and _BARE in client.adapters else client.base_url
            url = f"{base}/v{self._version}{path}"
            # A silent follow stream is no error: nothing may come for days.
            timeout = (_TIMEOUT_S, None if endless else _TIMEOUT_S)
            response = client.get(
                url, params=params, stream=stream, timeout=timeout, verify=client.verify, headers=_RAW if stream else {}
            )
        except _TROUBLE as error:
            raise EngineUnavailableError(error) from error
        server = response.headers.get("Server", "")
        if server.startswith(_PODMAN_SERVER):
            # Another engine may have replaced the one that was asked for its identity.
            response.close()
            raise UnsupportedEngineError(f"Podman {server.removeprefix(_PODMAN_SERVER).partition(' ')[0]}")
        if response.status_code >= 400:
            self._refuse(response, path)
        return response

    def _refuse(self, response: requests.Response, path: str) -> None:
        try:
            message = text(mapping(document(response.content)).get("message"))
        except ValueError:
            message = text(response.text[:300])
        finally:
            response.close()
        status = response.status_code
        if status in {404, 409} or (status == 500 and ("no such file" in message or "No such container" in message)):
            raise ContainerGoneError(message)
        if status == 501 or "configured logging driver does not support reading" in message:
            raise LogsUnreadableError(message)
        if status == 400 and "client version" in message:
            # The engine was replaced by another: ask for its API version again.
            self.close()
            self._client = None
        if status == 403:
            message = f"GET {path} is forbidden, perhaps by a proxy (docs/docker-engines.md lists what to allow)"
        raise EngineUnavailableError(f"{status} {message}")

    def _connected(self) -> docker.APIClient:
        with self._lock:
            if self._client is None:
                host = self._endpoint.host
                client = docker.APIClient(
                    base_url=host,
                    tls=self._endpoint.tls or False,
                    version=_VERSION,
                    timeout=int(_TIMEOUT_S),
                    max_pool_size=_CONNECTIONS,
                    use_ssh_client=(host or "").startswith("ssh://"),
                )
                # Requested here, not by the package: it would prefer REQUESTS_CA_BUNDLE to DOCKER_CERT_PATH.
                answer = client.get(f"{client.base_url}/version", timeout=_TIMEOUT_S, verify=client.verify)
                found = answer.json()
                if (podman := _podman_of(found)) is not None:
                    raise UnsupportedEngineError(podman)
                self._version = str(found["ApiVersion"])
                adapter = client.get_adapter(client.base_url)
                if isinstance(adapter, UnixHTTPAdapter):
                    client.mount(_BARE, _BareAdapter(f"http+unix://{adapter.socket_path}", adapter.timeout))
                self._client = client
            return self._client


def _instance(engine: str) -> str:
    """Return the engine's id in the form that the wire takes."""
    return engine if _INSTANCE.fullmatch(engine) else hashlib.sha256(engine.encode()).hexdigest()


def is_container(found: object) -> bool:
    """Return whether this is a container's id."""
    return isinstance(found, str) and _CONTAINER.fullmatch(found) is not None


def connect(docker_host: str | None = None) -> DockerClient:
    """Return a client, which connects when it is first used.

    Args:
        docker_host: The engine's address; None: the one of the environment and Docker's context.

    Raises:
        EndpointError: Docker's context does not exist, or cannot be read.
        OnlyPodmanError: Nothing names an engine, and there is only Podman.
    """
    return DockerClient(docker_host)


def _podman_of(version: Any) -> str | None:
    """Return Podman's name and version, if the answer to `/version` is Podman's."""
    components = version.get("Components") if isinstance(version, dict) else None
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict) and component.get("Name") == _PODMAN:
            return f"Podman {component.get('Version', '')}"
    return None


def _documents(response: LogResponse) -> Iterator[dict[str, Any] | None]:
    """Yield the JSON documents of a stream, one a line; None for one that cannot be parsed.

    A document may come in any number of pieces, and any number of documents in one piece.
    """
    pieces: list[bytes] = []
    size = 0
    while data := response.read_decoded():
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join([*pieces, lines[0]])
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > _MAX_EVENT_BYTES:
            raise EngineUnavailableError(f"an event of more than {_MAX_EVENT_BYTES:,} bytes")
        for line in lines:
            if line := line.strip(b"\x1e \r"):
                yield _document(line)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        found = document(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    log.warning("event_not_understood", text=line[:300].decode("utf-8", "backslashreplace"))
    return None
