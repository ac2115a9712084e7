"""Test that `logferry doctor` names what is wrong between this machine and the cloud, by breaking it."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.integration.cli.conftest import Run
from tests.support.agents import KEY as AGENT_KEY
from tests.support.viewer_cloud import ViewerCloud

DAY = datetime.timedelta(days=1)
VIEWER_KEY = f"lfv_{'a' * 12}_{'b' * 43}"


def failures(run: Run, *words: str) -> dict[str, str]:
    """Return what each failed check says. The command must fail."""
    outcome = run("doctor", "--json", *words)
    assert outcome.status == 1
    return {leg["name"]: leg["detail"] for leg in json.loads(outcome.out) if leg["outcome"] == "failed"}


class Authority:
    """A certificate authority, and a server that has one of its certificates."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self._folder = folder
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name).issuer_name(self._name).public_key(self._key.public_key())
            .serial_number(1).not_valid_before(now - 90 * DAY).not_valid_after(now + 90 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        self.file = folder / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, begins: int, ends: int, name: str = "localhost") -> ssl.SSLContext:
        """Return the context of a server whose certificate is valid between two days from now."""
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).issuer_name(self._name)
            .public_key(key.public_key()).serial_number(2)
            .not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        file = self._folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """Run a server that greets with its certificate; yield its port."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), []

    async def serve() -> None:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    stopped = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize(
    ("validity", "cause"),
    [
        ((-30, -1, "localhost"), "the certificate of localhost has expired"),
        ((1, 30, "localhost"), "the certificate of localhost is not valid yet"),
        ((-1, 30, "other.example"), "the certificate there is not for localhost"),
    ],
    ids=["expired", "not valid yet", "another name"],
)
def test_bad_certificate_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validity: tuple[int, int, str], cause: str
) -> None:
    """For the reader's connection and for the agent's."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("LOGFERRY_STATE", str(tmp_path / "none"))
    monkeypatch.setenv("LOGFERRY_AGENT_KEY", AGENT_KEY)
    monkeypatch.setenv("LOGFERRY_SPOOL_DIR", str(tmp_path / "spool"))
    with tls_server(authority.server_context(*validity)) as port:
        found = failures(run, "--api-url", f"https://localhost:{port}", "--viewer-key", VIEWER_KEY)
        assert cause in found["HTTP API and viewer key"]
        monkeypatch.setenv("LOGFERRY_AGENTS_URL", f"wss://localhost:{port}/live")
        assert cause in failures(run, "--agent")["cloud accepts the agent"]


def test_unknown_authority_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where to name the authority."""
    with tls_server(Authority(tmp_path).server_context(-1, 30)) as port:
        found = failures(run, "--api-url", f"https://localhost:{port}", "--viewer-key", VIEWER_KEY)
    assert "is not trusted" in found["HTTP API and viewer key"]
    assert "SSL_CERT_FILE" in found["HTTP API and viewer key"]


@pytest.mark.parametrize(("hours", "said"), [(1, "60 minutes behind"), (-1, "60 minutes ahead")])
def test_clock_that_is_off_by_an_hour_is_named(
    cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch, hours: int, said: str
) -> None:
    """The cloud's answers tell the time, also when they refuse."""

    def refused(_: web.Request) -> web.Response:
        date = formatdate(time.time() + hours * 3600, usegmt=True)
        return web.json_response({"message": "Forbidden"}, status=403, headers={"Date": date})

    monkeypatch.setattr(cloud, "refused", refused)
    found = failures(run)
    assert said in found["this machine's clock"]
    assert "timedatectl" in found["this machine's clock"]


def test_wrong_address_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that nobody knows, a port where nobody listens, and a server that is not Logferry's."""
    monkeypatch.setenv("LOGFERRY_STATE", str(tmp_path / "none"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for address, cause in (
            ("https://logs.invalid", "the name logs.invalid is not known"),
            (f"http://127.0.0.1:{port}", "nothing listens there"),
        ):
            found = failures(run, "--api-url", address, "--viewer-key", VIEWER_KEY)
            assert cause in found["HTTP API and viewer key"]
    with ViewerCloud() as other:
        found = failures(run, "--api-url", f"{other.url.rstrip('/')}/wrong", "--viewer-key", VIEWER_KEY)
    assert "is not the address of Logferry's HTTP API" in found["HTTP API and viewer key"]
    assert "ViewerUrl or HttpUrl" in found["HTTP API and viewer key"]
