"""Tests of `edge/docker.py`, against a small engine of our own behind a real socket."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from logferry_agent.edge.docker import EngineUnavailableError, connect


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def engine(path: Path) -> Iterator[list[str]]:
    """One that says who it is; what it was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.rpartition("/")[2])
            body = json.dumps({"ApiVersion": "1.41", "ID": f"engine {asked.count('info')}"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "agent"

        def log_message(self, *_: object) -> None:
            pass

    with _Server(str(path), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def test_what_was_asked_ahead_is_the_first_answer_and_no_later_one(tmp_path: Path) -> None:
    """The engine may be another one then."""
    connection = connect(f"unix://{tmp_path / 'docker.sock'}")
    with engine(tmp_path / "docker.sock") as asked:
        connection.ask_ahead()
        assert connection.identity().id == "engine 1"
        assert asked.count("info") == 1
        assert connection.identity().id == "engine 2"
    connection.close()


def test_an_engine_that_was_not_there_when_it_was_asked_ahead_is_asked_again(tmp_path: Path) -> None:
    """And its absence is said to who wants to know, nowhere else."""
    connection = connect(f"unix://{tmp_path / 'docker.sock'}")
    connection.ask_ahead()
    with pytest.raises(EngineUnavailableError):
        connection.identity()
    with engine(tmp_path / "docker.sock"):
        assert connection.identity().id == "engine 1"
    connection.close()
