"""Run a proxy in front of an engine's socket that cuts bodies into its own chunks, as HTTP allows any proxy to.

It passes requests on, and answers in the chunked coding whatever the engine did, to clients of HTTP/1.0 too: not all
proxies are correct. `allow` denies other requests with 403, as docker-socket-proxy does.
"""

from __future__ import annotations

import http.client
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path


@contextmanager
def rechunking_proxy(
    engine: str,
    folder: Path,
    sizes: tuple[int, ...],
    *,
    allow: str = ".*",
    asked: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Run a proxy for the length of a block; yield its DOCKER_HOST.

    Args:
        engine: the path of the engine's socket.
        folder: where the proxy's socket is made.
        sizes: of the chunks, in sequence, repeated.
        allow: a regular expression of the paths, without the API's version, that are passed on.
        asked: called with the path of each request.
    """
    path = folder / "proxy.sock"
    server = _Server(str(path), _ProxyHandler)
    server.engine, server.sizes, server.allow, server.asked = engine, sizes, re.compile(allow), asked
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    engine: str
    sizes: tuple[int, ...]
    allow: re.Pattern[str]
    asked: Callable[[str], None]


class _ProxyHandler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while request := self.rfile.readline():
            method, target, _ = request.decode().split()
            while self.rfile.readline().strip():
                pass
            path = re.sub(r"^/v[\d.]+", "", target.partition("?")[0])
            self.server.asked(path)
            with suppress(OSError, http.client.HTTPException):
                if method == "GET" and self.server.allow.fullmatch(path):
                    self._pass(target)
                else:
                    self._answer(403, {"Content-Type": "text/html"}, iter([b"<html>Forbidden</html>"]))

    def _pass(self, target: str) -> None:
        engine = _Engine(self.server.engine)
        try:
            engine.request("GET", target)
            response = engine.getresponse()
            kept = {name: value for name, value in response.getheaders() if name in {"Content-Type", "Server"}}
            self._answer(response.status, kept, iter(lambda: response.read1(65_536), b""))
        finally:
            engine.close()

    def _answer(self, status: int, headers: dict[str, str], body: Iterator[bytes]) -> None:
        head = [f"HTTP/1.1 {status} X", "Transfer-Encoding: chunked", *(f"{name}: {headers[name]}" for name in headers)]
        self.wfile.write("\r\n".join([*head, "", ""]).encode())
        sizes = cycle(self.server.sizes)
        for data in body:
            rest = data
            while rest:
                size = next(sizes)
                piece, rest = rest[:size], rest[size:]
                self.wfile.write(b"%x;a=b\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


class _Engine(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)
