"""Test that reading resumes exactly, from either source and over other connections to the engine."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.ecs_endpoint import TASK_ARN, endpoint
from tests.support.engines import Engine, limits, wait_for
from tests.support.memory_sink import MemorySink

from logferry_agent.core.batching.ports import Position
from logferry_agent.core.parsing.timestamps import format_stamp, nanoseconds
from logferry_agent.edge import docker_client as edge_docker

pytestmark = pytest.mark.engine

COUNT = (
    'i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo "out $i"; [ $((i%3)) = 0 ] && echo "err $i" >&2; done;'
    " echo done"
)
# Between the lines written before and after the agent is gone, however long that takes on a busy machine.
UNTIL_TOLD = 'while [ -z "$go" ]; do sleep 0.02; done'
TOLD = "trap 'go=1' USR1"


@pytest.mark.parametrize(("first", "second"), [("file", "file"), ("file", "api"), ("api", "file"), ("api", "api")])
def test_reading_resumes_at_the_cursor(engine: Engine, watch: Watcher, prefix: str, first: str, second: str) -> None:
    """Docker cases 10, 11 and 26: lines are written while the agent is away; it returns with its cursor."""
    begun = watch(first, first_seen=1)
    half = COUNT.format(lines=300)
    container = engine.run(f"{TOLD}; {half}; {UNTIL_TOLD}; {half}", name=prefix + "a")
    log = begun.log(container.id)
    begun.sink.until(lambda: "done" in log.lines("o"), "the first half is read")
    begun.stop()
    before = len(log.texts)
    cursor = log.cursor
    assert cursor is not None
    container.kill(signal="USR1")
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


def test_lines_rotated_away_meanwhile_are_a_gap(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """The agent was away for too long."""
    begun = watch(source, first_seen=1)
    script = f"{TOLD}; echo first; {UNTIL_TOLD}; seq 1 20000; echo last"
    container = engine.run(script, name=prefix + "a", **limits("50k", 2))
    log = begun.log(container.id)
    begun.sink.until(lambda: log.lines() == ["first"], "the first line is read")
    begun.stop()
    container.kill(signal="USR1")
    container.wait()
    again = watch(source, sink=MemorySink({container.id: log.cursor or ""}), first_seen=1).ended(container.id)
    found = again.lines()
    assert found[-1] == "last"
    assert again.names() == ["gap", "exited"]
    assert [int(line) for line in found[:-1]] == list(range(20_001 - len(found) + 1, 20_001))


class TlsFront:
    """Serve an engine over TCP with TLS and client certificates."""

    def __init__(self, folder: Path, engine_socket: str) -> None:
        self.folder = folder
        self._socket = engine_socket
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
    front = TlsFront(tmp_path, engine.socket)
    yield front
    front.close()


def test_engine_behind_tls_is_read(
    engine: Engine, watch: Watcher, prefix: str, tls: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`; through the API, as its files are remote."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{tls.port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tls.folder))
    watched = watch("auto", docker_host=None)
    container = engine.run(COUNT.format(lines=200), name=prefix + "a")
    log = watched.ended(container.id)
    assert log.lines("o") == [f"out {number}" for number in range(1, 201)] + ["done"]
    assert log.jobs[-1].life.source == "api"


def test_engine_behind_ssh_is_read(
    engine: Engine, watch: Watcher, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker system dial-stdio` runs at the other end; the ssh program here stays on this machine."""
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


def test_unresponsive_engine_is_retried(
    engine: Engine, watch: Watcher, prefix: str, tls: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker case 15: the connection is cut and reopened; nothing repeated, nothing missing."""
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
    wait_for(lambda: log.names() == ["started", "exited"], "its life is told")


@pytest.mark.parametrize(("first", "second"), [("file", "file"), ("file", "api"), ("api", "file"), ("api", "api")])
def test_clock_set_back_does_not_matter(engine: Engine, watch: Watcher, prefix: str, first: str, second: str) -> None:
    """Docker case 25: the log's times run forward, back by two hours, and forward again.

    The agent is away once in each part.
    """
    container = engine.run("seq 1 60", name=prefix + "a")
    container.wait()
    container.reload()
    path = Path(container.attrs["LogPath"])
    records = path.read_bytes().splitlines(keepends=True)
    now = nanoseconds(json.loads(records[0])["time"])
    shifts = [0] * 20 + [-7_200] * 20 + [-3_600] * 20
    moved = [
        re.sub(rb'"time":"[^"]*"', b'"time":"%b"' % format_stamp(now + shift * 10**9 + number * 1_000).encode(), record)
        for number, (shift, record) in enumerate(zip(shifts, records, strict=True))
    ]
    for stop in (10, 30, 50):
        path.write_bytes(b"".join(moved[:stop]))
        begun = watch(first, first_seen=1, start_at="beginning")
        log = begun.log(container.id)
        begun.sink.until(lambda log=log, stop=stop: len(log.lines()) == stop, "the first part is read")  # type: ignore[misc]
        begun.sink.until(lambda log=log: "exited" in log.names(), "and its end told")  # type: ignore[misc]
        begun.stop()
        path.write_bytes(b"".join(moved))
        sink = MemorySink({container.id: log.cursor or ""})
        rest = watch(second, sink=sink, first_seen=1, start_at="beginning")
        again = rest.log(container.id)
        # It ended before: later lines appear only when it is inspected.
        rest.readers.reread(container.id, Position(1, without_end(log.cursor or "")))
        rest.sink.until(lambda again=again, stop=stop: len(again.lines()) >= 60 - stop, "the rest is read")  # type: ignore[misc]
        assert log.lines() + again.lines() == [str(number) for number in range(1, 61)]
        assert "gap" not in again.names()
        rest.stop()


def without_end(cursor: str) -> str:
    """Return a cursor from before the end was reported."""
    return "|".join(part for part in cursor.split("|") if not part.startswith("l="))


class SlowFront:
    """Cut quiet log streams, as proxies in front of sockets and in clouds do.

    It forwards nothing of an answer, headers included, before its first byte of content.
    """

    def __init__(self, folder: Path, engine_socket: str) -> None:
        self._engine = engine_socket
        self.path = str(folder / "front.sock")
        self.follows: Counter[str] = Counter()
        """Requested log streams, by container."""
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_quiet_streams(self) -> int:
        """Cut quiet streams now, as after a time-out, and return how many."""
        cut, self._open = self._open, []
        for end in cut:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def close(self) -> None:
        self._listener.close()
        self.cut_quiet_streams()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            request = client.recv(65_536)
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine)
            follows = b"/logs?" in request and b"follow=1" in request
            if follows:
                self.follows[request.split(b"/")[3].decode()] += 1
                self._open += [client, engine]
            engine.sendall(request)
            threading.Thread(target=self._pass_on, args=(client, engine), daemon=True).start()
            held = b""
            while data := engine.recv(65_536):
                held += data
                if follows and held.endswith(b"\r\n\r\n") and held.count(b"\r\n\r\n") == 1:
                    continue
                client.sendall(held)
                held = b""
            client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)


@pytest.fixture(name="front")
def _front(tmp_path: Path, engine: Engine) -> Iterator[SlowFront]:
    front = SlowFront(tmp_path, engine.socket)
    yield front
    front.close()


def test_quiet_container_is_no_error_and_a_cut_stream_resumes_silently(
    engine: Engine, watch: Watcher, prefix: str, front: SlowFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker case 18: no headers before the first byte, and proxies that cut long-quiet streams."""
    monkeypatch.setattr(edge_docker, "_TIMEOUT_S", 3.0)
    watched = watch("api", docker_host=f"unix://{front.path}")
    container = engine.run("trap 'echo said' USR1; while :; do sleep 0.05; done", name=prefix + "a")
    log = watched.log(container.id)
    wait_for(lambda: front.follows[container.id] == 1, "it is followed, and quiet")
    loud = engine.run("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.6; echo $i; done", name=prefix + "b")
    watched.ended(loud.id)
    assert front.follows[container.id] == 1, "quiet for twice what an answer may take, and still the same stream"
    for said in (1, 2, 3):
        asked = front.follows[container.id]
        front.cut_quiet_streams()
        wait_for(lambda asked=asked: front.follows[container.id] > asked, "it is followed again")  # type: ignore[misc]
        container.kill(signal="USR1")
        watched.sink.until(lambda said=said: log.lines() == ["said"] * said, "what comes afterwards is read")  # type: ignore[misc]
    container.kill()
    watched.ended(container.id)
    assert log.names() == ["started", "exited"]


def test_ecs_container_has_its_task_and_a_late_endpoint_delays_nothing(
    engine: Engine, watch: Watcher, prefix: str
) -> None:
    """The endpoint answers only after the containers were read; their jobs are then updated."""
    with endpoint() as server:
        server.held.clear()
        watched = watch("auto", metadata_uri=server.uri)
        labels = {
            "com.amazonaws.ecs.cluster": "prod",
            "com.amazonaws.ecs.container-name": "web",
            "com.amazonaws.ecs.task-arn": TASK_ARN,
            "com.amazonaws.ecs.task-definition-family": "shop",
            "com.amazonaws.ecs.task-definition-version": "7",
        }
        web = engine.run("echo web", name=prefix + "a", labels=labels)
        plain = engine.run("echo plain", name=prefix + "b")
        assert watched.ended(web.id).lines() == ["web"]
        assert watched.ended(plain.id).lines() == ["plain"]
        assert watched.readers.task is None
        server.held.set()
        for container in (web, plain):
            jobs = watched.log(container.id).jobs
            watched.sink.until(lambda jobs=jobs: "logferry.ecs.zone" in jobs[-1].container.labels, "it is told")  # type: ignore[misc]
        job = watched.log(web.id).jobs[-1].container
        assert (job.project, job.service, job.task) == ("prod", "shop", TASK_ARN)
        assert labels.items() <= job.labels.items()
        assert watched.log(plain.id).jobs[-1].container.project == "prod"
