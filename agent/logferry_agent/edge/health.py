"""The agent's HTTP server, on a unix socket and optionally a TCP address.

Its pages are /metrics, /healthz, /livez, /readyz and /status.

The unix socket is in the spool's folder, so that `logferry agent status` and the image's health check need no port.
/status names every container and is served on the socket alone, because anyone may connect to a port.
"""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SOCKET_NAME = "agent.sock"

POLL_S = 0.5
"""Seconds that a listener may take to notice that it should stop."""

PRIVATE_PAGES = frozenset({"/status"})
"""Not served on the TCP address."""

Page = Callable[[], tuple[int, str, bytes]]
"""Returns status, content type and body."""


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, Page] = {}  # noqa: RUF012 - set on a subclass for each server

    def do_GET(self) -> None:
        """Serve one of the pages."""
        page = self.pages.get(self.path.partition("?")[0])
        status, kind, body = page() if page else (404, "text/plain", b"not found\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a probe comes every few seconds."""


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Bind without the host name that a TCP server looks up."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "agent", 0

    def get_request(self) -> tuple[socket.socket, Any]:
        """Return the connection with a placeholder address: a unix peer has none, and the handler expects a pair."""
        connection, _ = super().get_request()
        return connection, ("local", 0)


class FolderTakenError(Exception):
    """Another engine's agent uses this folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(folder)

    def __str__(self) -> str:
        return f"spool_dir: another agent uses {self.folder}: give each agent its own folder"


class HealthServer:
    """Serves the pages until stopped."""

    def __init__(self, folder: Path, address: str | None, pages: dict[str, Page]) -> None:
        """Bind the socket and the address.

        Args:
            folder: The spool's folder.
            address: The TCP address `host:port`; None for none.
            pages: The pages by path.

        Raises:
            FolderTakenError: Another agent serves there.
            OSError: The address is taken.
        """
        handler = type("Handler", (_Handler,), {"pages": pages})
        self._path = folder / SOCKET_NAME
        # The spool's lock keeps agents of one engine apart. Agents of two engines would replace each other's socket.
        if _answers(folder):
            raise FolderTakenError(folder)
        self._path.unlink(missing_ok=True)
        self._servers: list[ThreadingHTTPServer] = []
        # A unix socket's path is at most 107 bytes: from a deeper folder only TCP is served.
        if len(str(self._path).encode()) < 107:
            self._servers.append(_UnixServer(str(self._path), handler))  # type: ignore[arg-type]
            self._path.chmod(0o600)
        if address:
            host, _, port = address.rpartition(":")
            public = {path: page for path, page in pages.items() if path not in PRIVATE_PAGES}
            handler = type("Handler", (_Handler,), {"pages": public})
            self._servers.append(ThreadingHTTPServer((host or "0.0.0.0", int(port)), handler))  # noqa: S104 - asked for
        for server in self._servers:
            server.daemon_threads = True
        self._serving = False

    @property
    def port(self) -> int | None:
        """The TCP port; None when none is served."""
        return next((server.server_port for server in self._servers if server.address_family != socket.AF_UNIX), None)

    def start(self) -> None:
        """Start serving, on one thread for each listener."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(POLL_S,), name="health", daemon=True).start()
        self._serving = True

    def stop(self) -> None:
        """Close the listeners."""
        for server in self._servers:
            if self._serving:
                server.shutdown()
            server.server_close()
        self._path.unlink(missing_ok=True)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("agent", timeout=5)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(str(self._socket_path))


def ask(folder: Path, path: str) -> tuple[int, bytes]:
    """Request a page from the agent whose spool is in a folder.

    Returns:
        Status and body.

    Raises:
        OSError: No agent runs there.
    """
    connection = _UnixConnection(folder / SOCKET_NAME)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answers(folder: Path) -> bool:
    try:
        ask(folder, "/readyz")
    except (OSError, http.client.HTTPException):
        return False
    return True


def as_json(status: int, document: object) -> tuple[int, str, bytes]:
    """Return a page of JSON."""
    return status, "application/json", json.dumps(document, indent=1).encode() + b"\n"
