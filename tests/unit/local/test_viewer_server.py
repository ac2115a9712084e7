"""Test the local viewer server: pages, configuration, and the API on the same origin."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from logferry_local.ports import free_port
from logferry_local.viewer_server import ViewerSettings, build_app

HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "DENY"}
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Provide a small built viewer, with a file beside it that nobody may read."""
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<title>Logferry</title>")
    (tmp_path / "dist" / "assets" / "index-1a2b.js").write_text("export {}")
    (tmp_path / "keys.json").write_text("secret")
    return tmp_path / "dist"


@pytest.fixture
async def upstream() -> AsyncIterator[TestServer]:
    """Provide an HTTP API that echoes its request."""

    async def echo(request: web.Request) -> web.Response:
        if request.path.endswith("/zipped"):
            return web.Response(body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})
        asked = {"method": request.method, "path": request.raw_path, "body": await request.text()}
        asked |= {name: request.headers.get(name, "") for name in ("Authorization", "Origin", "Host")}
        return web.json_response(asked, status=418, headers={"X-Request": "1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    server = TestServer(app)
    async with server:
        yield server


@pytest.fixture
async def client(files: Path, upstream: TestServer) -> AsyncIterator[Client]:
    """Provide the viewer server in front of it."""
    http_url = str(upstream.make_url("/stage")).rstrip("/")
    app = build_app(ViewerSettings(files, http_url, "ws://127.0.0.1:1/live", HEADERS))
    async with TestClient(TestServer(app), auto_decompress=False) as viewer:
        yield viewer


async def test_page_is_revalidated_and_hashed_files_are_cached(client: Client) -> None:
    """A new build must show at once; names with a hash cannot change."""
    page = await client.get("/")
    assert await page.text() == "<title>Logferry</title>"
    assert page.headers["Cache-Control"] == "no-cache"
    script = await client.get("/assets/index-1a2b.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in script.headers["Cache-Control"]


async def test_every_answer_carries_the_security_headers(client: Client) -> None:
    """Pages, refusals and the API alike."""
    for path in ("/", "/missing.js", "/config.json", "/api/jobs"):
        answer = await client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


async def test_nothing_outside_the_viewers_folder_is_served(client: Client, files: Path) -> None:
    """Not by dots, encoded dots, or an absolute path behind a second slash."""
    secret = files.parent / "keys.json"
    for path in ("/../keys.json", "/%2e%2e/keys.json", "/assets/..%2f..%2fkeys.json", f"/{secret}"):
        # By hand, because client libraries normalise such paths before they send them.
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        assert b"secret" not in answer, path
        assert b" 404 " in answer.splitlines()[0], path
        writer.close()


async def test_path_without_a_file_serves_the_page(client: Client) -> None:
    """As CloudFront's function does; a missing file with an extension is 404."""
    assert (await client.get("/jobs")).status == 200
    assert (await client.get("/nothing.css")).status == 404


async def test_configuration_names_the_websocket(client: Client) -> None:
    """It also says how to log in."""
    said = await (await client.get("/config.json")).json()
    assert said == {"api": "/api", "live": "ws://127.0.0.1:1/live", "auth": {"kind": "key"}}


async def test_api_request_is_forwarded_unchanged(client: Client, upstream: TestServer) -> None:
    """Method, encoded path, query, body, credential and origin arrive; status and headers come back."""
    origin = f"http://{client.host}:{client.port}"
    answer = await client.post(
        "/api/jobs/a%2Fb?x=%20", data="body", headers={"Authorization": "Bearer k", "Origin": origin}
    )
    assert answer.status == 418
    assert answer.headers["X-Request"] == "1"
    assert await answer.json(content_type=None) == {
        "method": "POST",
        "path": "/stage/api/jobs/a%2Fb?x=%20",
        "body": "body",
        "Authorization": "Bearer k",
        "Origin": origin,
        "Host": f"{upstream.host}:{upstream.port}",
    }


async def test_compressed_answer_stays_compressed(client: Client) -> None:
    """Its encoding is passed on."""
    answer = await client.get("/api/zipped")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await answer.read()) == b"{}"


async def test_unreachable_cloud_is_a_readable_problem(files: Path) -> None:
    """RFC 9457, like every other error of the API."""
    settings = ViewerSettings(files, f"http://127.0.0.1:{free_port()}", "ws://x", HEADERS)
    async with TestServer(build_app(settings)) as server, ClientSession() as session:
        answer = await session.get(server.make_url("/api/me"))
        assert answer.status == 502
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["title"] == "Bad Gateway"


FOREIGN_PAGES = (
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://evil.test"},
    {"Origin": "null", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
)


@pytest.mark.parametrize("path", ["/", "/config.json", "/assets/index-1a2b.js", "/api/me"])
async def test_foreign_pages_have_no_access(client: Client, path: str) -> None:
    """However they ask, and the refusal has the security headers."""
    for headers in FOREIGN_PAGES:
        answer = await client.get(path, headers=headers)
        assert answer.status == 403, headers
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:80", "127.0.0.1@evil.test"])
async def test_rebound_names_have_no_access(client: Client, host: str) -> None:
    """A name that its owner points to this machine would share the viewer's origin."""
    assert (await client.get("/", headers={"Host": host})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Host": "localhost:8080"},
        {"Host": "[::1]:8080", "Origin": "http://[::1]:8080"},
    ],
)
async def test_links_own_pages_and_forwarded_ports_are_served(client: Client, headers: dict[str, str]) -> None:
    """A link in a chat, the address bar, the viewer itself, and `ssh -L`."""
    assert (await client.get("/", headers=headers)).status == 200
