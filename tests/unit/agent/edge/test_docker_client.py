"""Test `edge/docker_client.py` against a small engine of our own behind a real socket."""

from __future__ import annotations

import http.client
import io
import json
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.docker_log import DockerLogWriter, frame
from tests.support.rechunking_proxy import rechunking_proxy

from logferry_agent import app
from logferry_agent.core.parsing.log_stream import LogStreamParser
from logferry_agent.edge import docker_client
from logferry_agent.edge.docker_client import EngineUnavailableError, LogResponse, UnsupportedEngineError, connect
from logferry_agent.settings import Settings


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def served(path: Path, answers: type[BaseHTTPRequestHandler]) -> Iterator[None]:
    """Answer requests on a unix socket for the length of a block."""
    with _Server(str(path), answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def engine(path: Path) -> Iterator[list[str]]:
    """Run an engine that identifies itself, and record its requests."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.rpartition("/")[2])
            body = json.dumps({"ApiVersion": "1.41", "ID": f"engine-{asked.count('info')}"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "agent"

        def log_message(self, *_: object) -> None:
            pass

    with served(path, Answers):
        yield asked


def test_prefetched_version_is_the_first_answer_and_no_later_one(tmp_path: Path) -> None:
    """The engine may be another one then."""
    connection = connect(f"unix://{tmp_path / 'docker.sock'}")
    with engine(tmp_path / "docker.sock") as asked:
        connection.prefetch_identity()
        assert connection.identity().id == "engine-1"
        assert asked.count("info") == 1
        assert connection.identity().id == "engine-2"
    connection.close()


def test_unreachable_engine_is_asked_again_after_the_prefetch(tmp_path: Path) -> None:
    """Its absence is raised only to the caller who needs the answer."""
    connection = connect(f"unix://{tmp_path / 'docker.sock'}")
    connection.prefetch_identity()
    with pytest.raises(EngineUnavailableError):
        connection.identity()
    with engine(tmp_path / "docker.sock"):
        assert connection.identity().id == "engine-1"
    connection.close()


class Stream:
    """A log stream over a real socket, on which each sleep of the reader brings the next piece."""

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
        """Deliver the next piece; after the last one, the end."""
        if not self._pieces:
            self._engine.close()
        elif piece := self._pieces.pop(0):
            self._engine.sendall(piece)

    def nap(self, seconds: float) -> None:
        self.naps += 1
        self.clock += seconds
        self.come()

    def read(self, together: int) -> bytes:
        with patch.object(docker_client, "time", SimpleNamespace(sleep=self.nap, monotonic=lambda: self.clock)):
            return self.response.read(together=together)


@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_pieces_arriving_during_a_burst_are_read_together(timeout_s: float | None) -> None:
    """Up to a limit in bytes; a socket holds little."""
    stream = Stream(b"one", b"two", b"three", b"four", timeout_s=timeout_s)
    assert stream.read(8) == b"onetwothree"
    assert stream.naps == 2
    stream.come()
    assert stream.read(0) == b"four"
    assert stream.naps == 2


@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_available_bytes_are_returned_without_waiting(timeout_s: float | None) -> None:
    """At once."""
    stream = Stream(b"one", b"two", b"", b"three", timeout_s=timeout_s)
    assert stream.read(1_000) == b"onetwo"
    stream.come()
    assert stream.read(1_000) == b"three"
    assert stream.read(1_000) == b""


def test_slow_pieces_after_a_burst_are_not_awaited() -> None:
    """A line with every sleep would be collected for half a second."""
    stream = Stream(*[b"a line\n"] * 1_000, timeout_s=None)
    given = stream.read(1_000_000)
    assert 10 < given.count(b"\n") < 1_000
    assert stream.clock < 0.025


# --- answers through proxies -----------------------------------------------------------------------------------------


class _Script(io.RawIOBase):
    """A connection that gives its bytes in pieces of these sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes = data, sizes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._sizes.pop(0) if self._sizes else len(self._data))
        given, self._data = self._data[:size], self._data[size:]
        buffer[: len(given)] = given
        return len(given)


def responded(body: bytes, chunks: list[int], reads: list[int], *, chunked: bool = True, lost: int = 0) -> LogResponse:
    """Return an answer with this body, in chunks and reads of these sizes; the rest comes in one.

    lost: this many bytes at its end never come.
    """
    if chunked:
        coded, at = b"", 0
        for size in [*chunks, len(body)]:
            piece = body[at : at + size]
            at += len(piece)
            coded += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        body = (coded + b"0\r\n\r\n")[: -lost or None]
    coding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    raw = _Script(b"HTTP/1.1 200 OK\r\n" + coding + b"\r\n" + body, list(reads))
    answer = http.client.HTTPResponse(SimpleNamespace(makefile=lambda _: io.BufferedReader(raw)))  # type: ignore[arg-type]
    answer.begin()
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    return LogResponse(SimpleNamespace(headers=headers, raw=SimpleNamespace(_fp=answer), close=answer.close))  # type: ignore[arg-type]


SIZES = st.lists(st.integers(1, 300), max_size=60)
EVENTS = st.lists(
    st.builds(
        lambda action, labels: {"Type": "container", "Action": action, "Actor": {"ID": "c", "Attributes": labels}},
        st.sampled_from(["start", "die", "exec_start: sh -c x"]),
        st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=6),
    ),
    max_size=5,
)


@given(events=EVENTS, chunks=SIZES, reads=SIZES, chunked=st.booleans())
def test_events_arrive_whole_however_they_are_cut(
    events: list[dict[str, Any]], chunks: list[int], reads: list[int], chunked: bool
) -> None:
    """A proxy makes chunks of its own size, each with none, one or many events."""
    body = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)
    assert list(docker_client._documents(responded(body, chunks, reads, chunked=chunked))) == events


@given(chunks=SIZES, reads=SIZES, lengths=st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=50)
def test_log_lines_arrive_whole_however_they_are_cut(chunks: list[int], reads: list[int], lengths: list[int]) -> None:
    """The same for the log."""
    copier = DockerLogWriter()
    pieces = [piece for length in lengths for piece in copier.write("oe"[length % 2], b"x" * length + b"\n")]
    response = responded(b"".join(map(frame, pieces)), chunks, reads)
    stream = LogStreamParser(tty=False, chunked=response.chunked)
    texts = []
    while not stream.done and (data := response.read()):
        texts += stream.feed(data).fragments.texts
    assert texts == ["x" * length for length in lengths]
    assert stream.end().errors == []


def test_long_event_costs_its_length_however_it_is_cut() -> None:
    """Its pieces are joined once."""
    body = json.dumps({"Action": "start", "label": "x" * 30_000}).encode() + b"\n"
    given: list[int] = []
    response = responded(body, [3] * 11_000, [])
    honest = response.read_decoded
    response.read_decoded = lambda: (data := honest(), given.append(len(data)))[0]  # type: ignore[func-returns-value, method-assign]
    (event,) = docker_client._documents(response)
    assert event is not None
    assert len(given) > 10_000


def test_invalid_event_is_reported_and_the_others_arrive() -> None:
    """Each unreadable one is one `None`; an empty line is nothing."""
    body = b'{"Action": "start"}\n\n[1]\n{"Act\n\x1e{"Action": "die"}\r\nnull\n{"Action": "sto'
    found = list(docker_client._documents(responded(body, [], [])))
    assert found == [{"Action": "start"}, None, None, {"Action": "die"}, None]


def test_stream_without_events_does_not_fill_the_memory() -> None:
    """It counts as broken."""
    with (
        patch.object(docker_client, "_MAX_EVENT_BYTES", 1_000),
        pytest.raises(EngineUnavailableError, match=r"1,000 bytes"),
    ):
        list(docker_client._documents(responded(b"x" * 5_000, [100] * 50, [])))


def test_truncated_event_stream_is_a_broken_connection() -> None:
    """Not a regular end: complete events were given."""
    events = docker_client._documents(responded(b'{"Action": "start"}\n' * 3, [20, 20, 30], [], lost=15))
    assert next(events) == {"Action": "start"}
    with pytest.raises(EngineUnavailableError):
        list(events)


PODMAN = {
    "Platform": {"Name": "linux/amd64/debian-12"},
    "Components": [
        {"Name": "Podman Engine", "Version": "4.3.1", "Details": {"APIVersion": "4.3.1", "MinAPIVersion": "4.0.0"}},
        {"Name": "Conmon", "Version": "conmon version 2.1.6, commit: unknown", "Details": {"Package": "conmon"}},
    ],
    "Version": "4.3.1",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.24",
}
"""As Debian 12's Podman answers `/version`, shortened."""
DOCKER = {"Platform": {"Name": ""}, "Components": [{"Name": "Engine", "Version": "20.10.24"}], "ApiVersion": "1.41"}


@contextmanager
def answering(path: Path, answers: dict[str, tuple[int, str, Any]]) -> Iterator[list[str]]:
    """Run an engine that answers each path (without the version) with a status, a `Server` header and JSON.

    Record the requests.
    """
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            path = self.path.partition("?")[0]
            status, server, document = answers.get("/" + path.rpartition("/")[2], (404, "", {}))
            body = json.dumps(document).encode()
            self.send_response_only(status)
            self.send_header("Server", server)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with served(path, Answers):
        yield asked


def test_podman_is_refused_by_its_version(tmp_path: Path) -> None:
    """The sentence says what it is, why, and what to do; it is also a job's problem."""
    connection = connect(f"unix://{tmp_path / 's'}")
    with answering(tmp_path / "s", {"/version": (200, "", PODMAN)}), pytest.raises(UnsupportedEngineError) as refused:
        connection.identity()
    said = str(refused.value)
    assert said.startswith("this is Podman 4.3.1, not a Docker Engine")
    assert "docker_host" in said
    assert len(said) < 512


@pytest.mark.parametrize("status", [200, 404, 500])
def test_podman_replacing_the_engine_is_refused_by_each_answer(tmp_path: Path, status: int) -> None:
    """Also a 404, which would mean that the container is gone."""
    answers: dict[str, tuple[int, str, Any]] = {
        "/version": (200, "Docker/20.10.24 (linux)", DOCKER),
        "/info": (200, "Docker/20.10.24 (linux)", {"ID": "e"}),
    }
    podman = (status, "Libpod/4.3.1 (linux)", {"cause": "no such container", "message": "no container with name"})
    with answering(tmp_path / "s", answers):
        connection = connect(f"unix://{tmp_path / 's'}")
        assert connection.identity().id == "e"
        answers |= {"/json": podman, "/logs": podman, "/events": podman, "/info": podman}
        for ask in (
            connection.containers,
            connection.identity,
            lambda: connection.inspect("c"),
            lambda: connection.logs("c", follow=True),
            lambda: connection.events("0"),
        ):
            with pytest.raises(UnsupportedEngineError, match=r"Podman 4\.3\.1"):
                ask()
        connection.close()


@pytest.mark.parametrize(
    "version",
    [{"Components": None, "ApiVersion": "1.41"}, {"Components": [1, {}], "ApiVersion": "1.41"}, {"ApiVersion": "1.41"}],
)
def test_engine_without_components_is_dockers(tmp_path: Path, version: dict[str, Any]) -> None:
    """Old ones name none."""
    with answering(tmp_path / "s", {"/version": (200, "", version), "/info": (200, "", {"ID": "e"})}):
        assert connect(f"unix://{tmp_path / 's'}").identity().id == "e"


def test_api_version_is_requested_again_after_a_replacement(tmp_path: Path) -> None:
    """An older engine refuses the newer version."""
    answers: dict[str, tuple[int, str, Any]] = {
        "/version": (200, "", {"ApiVersion": "1.47"}),
        "/info": (200, "", {"ID": "e"}),
    }
    with answering(tmp_path / "s", answers) as asked:
        connection = connect(f"unix://{tmp_path / 's'}")
        connection.identity()
        answers["/version"] = (200, "", {"ApiVersion": "1.41"})
        told = "client version 1.47 is too new. Maximum supported API version is 1.41"
        answers["/json"] = (400, "", {"message": told})
        with pytest.raises(EngineUnavailableError, match="too new"):
            connection.containers()
        answers["/json"] = (200, "", [])
        assert connection.containers() == []
        assert asked[-1].startswith("/v1.41/")


@pytest.mark.parametrize("sizes", [(1,), (7, 1, 4_096), (65_536,)])
def test_all_answers_are_read_through_a_proxy_that_cuts_chunks(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """List, inspect, events and log, with a chunk's extensions, and to a client of HTTP/1.0."""
    lines = [piece for number in range(50) for piece in DockerLogWriter().write("o", b"line %d\n" % number)]
    labels = {f"traefik.http.routers.shop-{number}.rule": "Host(`shop.example.com`)" for number in range(120)}
    answers: dict[str, Any] = {
        "/version": DOCKER,
        "/info": {"ID": "e", "Labels": list(labels)},
        "/containers/json": [{"Id": "c", "Labels": labels}],
        "/containers/c/json": {"Id": "c", "Config": {"Labels": labels}},
        "/containers/c/logs": b"".join(map(frame, lines)),
        "/events": [{"Action": action, "Actor": {"Attributes": labels}} for action in ("start", "die")],
    }

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix("/v1.41")
            found = answers[path]
            documents = found if path == "/events" else [found]
            body = (
                found if isinstance(found, bytes) else b"".join(json.dumps(one).encode() + b"\n" for one in documents)
            )
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "agent"

        def log_message(self, *_: object) -> None: ...

    with _Server(str(tmp_path / "s"), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        with rechunking_proxy(str(tmp_path / "s"), tmp_path, sizes) as address:
            connection = connect(address)
            assert connection.identity().id == "e"
            assert connection.containers() == answers["/containers/json"]
            assert connection.inspect("c") == answers["/containers/c/json"]
            assert list(connection.events("0")[1]) == answers["/events"]
            response = connection.logs("c", follow=True)
            stream = LogStreamParser(tty=False, chunked=response.chunked)
            texts = []
            while not stream.done and (data := response.read()):
                texts += stream.feed(data).fragments.texts
            assert texts == [f"line {number}" for number in range(50)]
            connection.close()
        server.shutdown()
        thread.join()


def test_path_forbidden_by_a_proxy_is_named(tmp_path: Path) -> None:
    """The message says where to read what to allow."""
    answers = {"/version": (200, "", DOCKER), "/info": (200, "", {"ID": "e"})}
    with (
        answering(tmp_path / "s", answers),
        rechunking_proxy(str(tmp_path / "s"), tmp_path, (100,), allow="/version|/info") as address,
    ):
        connection = connect(address)
        connection.identity()
        with pytest.raises(EngineUnavailableError, match=r"403 GET /containers/json is forbidden.*docker-engines"):
            connection.containers()
        connection.close()


def test_agent_refuses_to_start_on_podman(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits with status 1, and its log says what to do."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with answering(tmp_path / "s", {"/version": (200, "Libpod/4.3.1 (linux)", PODMAN)}):
        connection = connect(f"unix://{tmp_path / 's'}")
        connection.prefetch_identity()
        assert app.run(cast(Settings, None), connection) == 1
    assert "this is Podman 4.3.1, not a Docker Engine" in capsys.readouterr().out
