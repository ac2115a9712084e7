"""Serve one HTTP API of the emulator at the root of an origin, where API Gateway serves each of them on AWS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

LEFT_OUT = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"})


@contextmanager
def root_proxy(address: str, port: int) -> Iterator[None]:
    """Pass every request at `http://127.0.0.1:<port>/` on to the API at `address`.

    Args:
        address: The API's address in the emulator, without a slash at its end.
        port: A port of this machine.
    """
    with httpx.Client(timeout=60) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = [(name, value) for name, value in self.headers.items() if name.lower() != "host"]
                with client.stream(self.command, address + self.path, headers=headers, content=body) as answer:
                    content = b"".join(answer.iter_raw())
                self.send_response(answer.status_code)
                for name, value in answer.headers.multi_items():
                    if name not in LEFT_OUT:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that the server looks for

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
