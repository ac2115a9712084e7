"""Test the network path to the cloud: custom certificate authorities, proxies, unresolvable names."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.support.pipeline_harness import GeneratedReader, PipelineHarness, job_id

from logferry_agent.app import tls_of
from logferry_agent.settings import load

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def sink() -> Iterator[FakeIngestProcess]:
    with FakeIngestProcess() as sink:
        yield sink


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *command.split(), *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.close()


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    there_reader, there_writer = await asyncio.open_connection(host, port)
    await asyncio.gather(pass_on(reader, there_writer), pass_on(there_reader, writer))


class ThreadedServer:
    """A server in its own thread."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self.port = 0
        ready = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.run_forever()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0.01))
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture
def secure(sink: FakeIngestProcess, certificate: tuple[Path, Path]) -> Iterator[ThreadedServer]:
    """Put the sink behind TLS."""
    sink.reset()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    relay = ThreadedServer(lambda reader, writer: join(reader, writer, "127.0.0.1", sink.port), context)
    yield relay
    relay.stop()


def rig_for(port: int, folder: Path, ca_file: Path | None) -> PipelineHarness:
    flags = {"agents_url": f"wss://localhost:{port}/live", "agent_key": "lfa_" + "a" * 12 + "_" + "b" * 43}
    settings = load(flags | ({"ca_file": str(ca_file)} if ca_file else {}))
    return PipelineHarness(settings.agents_url, folder, GeneratedReader(1, 100), tls=tls_of(settings))


def test_custom_certificate_authority_is_trusted(
    secure: ThreadedServer, sink: FakeIngestProcess, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """`ca_file` names it."""
    with rig_for(secure.port, tmp_path, certificate[0]):
        wait_until(lambda: sink.tip(job_id(0)) == 100)


def test_unknown_certificate_is_refused_and_reported(
    secure: ThreadedServer, sink: FakeIngestProcess, tmp_path: Path
) -> None:
    """The agent sends nothing to an unverified server."""
    with rig_for(secure.port, tmp_path, None) as rig:
        wait_until(lambda: rig.socket.status.error is not None)
        assert "certificate" in (rig.socket.status.error or "")
    assert sink.counts().get("connections", 0) == 0


def test_proxy_from_the_environment_is_used(
    secure: ThreadedServer,
    sink: FakeIngestProcess,
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`HTTPS_PROXY`: CONNECT, then TLS through the proxy."""
    asked: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        asked.append(f"{method} {target}")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        host, _, port = target.rpartition(":")
        await join(reader, writer, host.replace("localhost", "127.0.0.1"), int(port))

    relay = ThreadedServer(proxy)
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{relay.port}")
    try:
        with rig_for(secure.port, tmp_path, certificate[0]):
            wait_until(lambda: sink.tip(job_id(0)) == 100)
    finally:
        relay.stop()
    assert asked[0] == f"CONNECT localhost:{secure.port}"


def test_unresolvable_name_is_reported_and_retried(tmp_path: Path) -> None:
    """On DNS failure, lines are read into the spool."""
    with PipelineHarness("ws://logferry.invalid/live", tmp_path, GeneratedReader(1, 50)) as rig:
        wait_until(lambda: rig.socket.status.attempts >= 2)
        assert "cannot connect" in (rig.socket.status.error or "")
        wait_until(lambda: [job["waiting"] for job in rig.pipeline.report()] == [50])
