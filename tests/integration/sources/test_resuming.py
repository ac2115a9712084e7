"""Reading goes on exactly where it was, from either source, and over another way to the engine."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine, limits, until
from tests.support.sink import MemorySink

pytestmark = pytest.mark.engine

COUNT = (
    'i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo "out $i"; [ $((i%3)) = 0 ] && echo "err $i" >&2; done;'
    " echo done"
)


@pytest.mark.parametrize(("first", "second"), [("file", "file"), ("file", "api"), ("api", "file"), ("api", "api")])
def test_reading_goes_on_where_it_was(engine: Engine, watch: Watcher, prefix: str, first: str, second: str) -> None:
    """Section 2, cases 10, 11 and 26: the agent is gone while lines are written, and comes back with its cursor."""
    begun = watch(first, first_seen=1)
    container = engine.run(f"{COUNT.format(lines=300)}; sleep 2; {COUNT.format(lines=300)}", name=prefix + "a")
    log = begun.log(container.id)
    begun.sink.until(lambda: "done" in log.lines("o"), "the first half is read")
    begun.stop()
    before = len(log.texts)
    cursor = log.cursor
    assert cursor is not None
    container.wait()
    sink = MemorySink({container.id: cursor})
    again = watch(second, sink=sink, first_seen=1).ended(container.id)
    half_out = [f"out {number}" for number in range(1, 301)] + ["done"]
    half_err = [f"err {number}" for number in range(3, 301, 3)]
    assert log.lines("o") + again.lines("o") == half_out * 2
    assert log.lines("e") + again.lines("e") == half_err * 2
    assert log.names() == ["started"]
    assert again.names() == ["exited"], "told once each, and no gap"
    assert before == len(log.texts)


def test_what_the_engine_rotated_away_meanwhile_is_a_gap(
    engine: Engine, watch: Watcher, prefix: str, source: str
) -> None:
    """The agent was away for too long."""
    begun = watch(source, first_seen=1)
    container = engine.run("echo first; sleep 1.5; seq 1 20000; echo last", name=prefix + "a", **limits("50k", 2))
    log = begun.log(container.id)
    begun.sink.until(lambda: log.lines() == ["first"], "the first line is read")
    begun.stop()
    container.wait()
    again = watch(source, sink=MemorySink({container.id: log.cursor or ""}), first_seen=1).ended(container.id)
    found = again.lines()
    assert found[-1] == "last"
    assert again.names() == ["gap", "exited"]
    assert [int(line) for line in found[:-1]] == list(range(20_001 - len(found) + 1, 20_001))


class TlsFront:
    """Makes an engine one that is reached by TCP with TLS and client certificates."""

    def __init__(self, folder: Path, host: str | None) -> None:
        self.folder = folder
        self._socket = (host or "unix:///var/run/docker.sock").removeprefix("unix://")
        run = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        run += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(run, cwd=folder, check=True, capture_output=True)
        (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._socket)
            for one, other in ((client, engine), (engine, client)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(name="tls")
def _tls(tmp_path: Path, engine: Engine) -> Iterator[TlsFront]:
    front = TlsFront(tmp_path, engine.host)
    yield front
    front.close()


def test_an_engine_behind_tls_is_read(
    engine: Engine, watch: Watcher, prefix: str, tls: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say; by its API, as its files are elsewhere."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{tls.port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tls.folder))
    watched = watch("auto", docker_host=None)
    container = engine.run(COUNT.format(lines=200), name=prefix + "a")
    log = watched.ended(container.id)
    assert log.lines("o") == [f"out {number}" for number in range(1, 201)] + ["done"]
    assert log.jobs[-1].life.source == "api"


def test_an_engine_behind_ssh_is_read(
    engine: Engine, watch: Watcher, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `docker system dial-stdio` at the other end; the ssh program is one that stays on this machine."""
    pytest.importorskip("paramiko", reason="the docker package wants it for ssh, although the ssh program is used")
    program = tmp_path / "ssh"
    host = f"-H {engine.host} " if engine.host else ""
    program.write_text(f"#!/bin/sh\nexec docker {host}system dial-stdio\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    watched = watch("auto", docker_host="ssh://somebody@elsewhere")
    container = engine.run(COUNT.format(lines=200), name=prefix + "a")
    log = watched.ended(container.id)
    assert log.lines("o") == [f"out {number}" for number in range(1, 201)] + ["done"]
    assert log.jobs[-1].life.source == "api"


def test_an_engine_that_does_not_answer_is_waited_for(
    engine: Engine, watch: Watcher, prefix: str, tls: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 2, case 15: the connection is cut and made again; nothing twice, nothing missing."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{tls.port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tls.folder))
    watched = watch("api", docker_host=None)
    container = engine.run("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.05; done", name=prefix + "a")
    log = watched.log(container.id)
    for line in ("10", "25", "40"):
        watched.sink.until(lambda line=line: line in log.lines(), f"line {line} is read")  # type: ignore[misc]
        for loop in watched.readers.api_loops():
            loop.cut()
    watched.ended(container.id)
    assert log.lines() == [str(number) for number in range(1, 61)]
    until(lambda: log.names() == ["started", "exited"], "its life is told")
