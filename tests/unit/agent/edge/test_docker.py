"""Tests of `edge/docker.py`, against a small engine of our own behind a real socket."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from logferry_agent.edge import docker
from logferry_agent.edge.docker import EngineUnavailableError, LogResponse, connect


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


class Stream:
    """A log stream over a real socket, on which each nap of the reader brings the next of these pieces."""

    def __init__(self, *pieces: bytes, timeout_s: float | None) -> None:
        self._pieces = list(pieces)
        self.naps = 0
        self.clock = 0.0
        self._engine, here = socket.socketpair()
        here.settimeout(timeout_s)
        body = SimpleNamespace(_fp=SimpleNamespace(fp=here.makefile("rb")))
        self.response = LogResponse(SimpleNamespace(headers={}, raw=body, close=here.close))  # type: ignore[arg-type]
        self.come()

    def come(self, _: float = 0.0) -> None:
        """The next piece; after the last one the end."""
        if not self._pieces:
            self._engine.close()
        elif piece := self._pieces.pop(0):
            self._engine.sendall(piece)

    def nap(self, seconds: float) -> None:
        self.naps += 1
        self.clock += seconds
        self.come()

    def read(self, together: int) -> bytes:
        with patch.object(docker, "time", SimpleNamespace(sleep=self.nap, monotonic=lambda: self.clock)):
            return self.response.read(together=together)


@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_of_a_burst_what_comes_meanwhile_is_taken_along(timeout_s: float | None) -> None:
    """Up to so many bytes; a socket holds little."""
    stream = Stream(b"one", b"two", b"three", b"four", timeout_s=timeout_s)
    assert stream.read(8) == b"onetwothree"
    assert stream.naps == 2
    stream.come()
    assert stream.read(0) == b"four"
    assert stream.naps == 2


@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_nothing_that_does_not_come_is_waited_for(timeout_s: float | None) -> None:
    """What is there is given out at once."""
    stream = Stream(b"one", b"two", b"", b"three", timeout_s=timeout_s)
    assert stream.read(1_000) == b"onetwo"
    stream.come()
    assert stream.read(1_000) == b"three"
    assert stream.read(1_000) == b""


def test_what_only_trickles_on_after_a_burst_does_not_wait_for_more() -> None:
    """A line with every nap would be gathered for half a second."""
    stream = Stream(*[b"a line\n"] * 1_000, timeout_s=None)
    given = stream.read(1_000_000)
    assert 10 < given.count(b"\n") < 1_000
    assert stream.clock < 0.025
