"""Serve the viewer locally.

The server has the built pages, their configuration, and the HTTP API behind /api, on one origin as with CloudFront.

It runs as its own process: `python -m logferry_local.viewer_server --help`.
"""

from __future__ import annotations

import argparse
import mimetypes
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from logferry_local.security_headers import security_headers
from logferry_local.viewer_process import ASK_AGAIN, FOR_EVER, config

# RFC 9110, 7.6.1: these belong to one connection and are not passed on. The client library sets length and coding.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "content-encoding",
    }
)
# A machine's own table may call .js text/plain, and browsers refuse such modules.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/wasm", ".wasm")

# Against DNS rebinding: a foreign name that resolves to this machine arrives with that name here.
HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ViewerSettings:
    """Where the pages are, and the addresses of the deployed stack."""

    files: Path
    http_url: str
    live_url: str
    headers: dict[str, str]


def build_app(settings: ViewerSettings) -> web.Application:
    """Build the server."""
    server = _Server(settings)
    app = web.Application(middlewares=[server.add_headers, refuse_foreign_pages], client_max_size=16 * 1024**2)
    app.cleanup_ctx.append(server.session)
    app.router.add_get("/config.json", server.config)
    app.router.add_route("*", "/api/{rest:.*}", server.forward)
    app.router.add_get("/{path:.*}", server.page)
    return app


@web.middleware
async def refuse_foreign_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve the viewer's own pages, and clients that are not browsers. A link from anywhere may open the viewer."""
    if len(request.headers.getall("Host", [])) != 1 or not HOST.fullmatch(request.host):
        raise web.HTTPForbidden(
            text="The local viewer is served at 127.0.0.1 and localhost. Run `logferry status` for its address."
        )
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    is_link = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    is_foreign = site not in ("none", "same-origin") if origin is None else origin != f"http://{request.host}"
    if is_foreign and not (is_link and origin is None):
        raise web.HTTPForbidden(text="Pages of other origins are refused.")
    return await handler(request)


class _Server:
    def __init__(self, settings: ViewerSettings) -> None:
        self._settings = settings
        self._files = settings.files.resolve()
        self._session: ClientSession | None = None

    async def session(self, _app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(timeout=ClientTimeout(total=60), auto_decompress=False) as self._session:
            yield

    @web.middleware
    async def add_headers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(self._settings.headers)
            raise
        if not response.prepared:
            response.headers.update(self._settings.headers)
        return response

    async def config(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(config(self._settings.live_url), headers={"Cache-Control": ASK_AGAIN})

    async def page(self, request: web.Request) -> web.StreamResponse:
        path = (self._files / request.match_info["path"]).resolve()
        if not path.is_relative_to(self._files):
            raise web.HTTPNotFound
        if not path.is_file():
            if path.suffix:
                raise web.HTTPNotFound
            path = self._files / "index.html"  # a path without a file is the viewer's own
        cache = FOR_EVER if "assets" in path.relative_to(self._files).parts else ASK_AGAIN
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return web.FileResponse(path, headers={"Cache-Control": cache, "Content-Type": content_type})

    async def forward(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        # What the page percent-encoded stays as it is.
        url = URL(f"{self._settings.http_url}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP_BY_HOP or name.lower() == "content-encoding":
                        response.headers.add(name, value)
                response.headers.update(self._settings.headers)
                await response.prepare(request)
                async for piece in answer.content.iter_chunked(65536):
                    await response.write(piece)
                await response.write_eof()
                return response
        except (ClientError, TimeoutError) as error:
            problem = {
                "type": "about:blank",
                "title": "Bad Gateway",
                "status": 502,
                "detail": f"The local cloud does not answer ({type(error).__name__}).",
            }
            return web.json_response(problem, status=502, content_type="application/problem+json")


def main() -> None:
    """Serve until SIGTERM."""
    words = argparse.ArgumentParser(prog="logferry_local.viewer_server")
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--files", type=Path, required=True)
    words.add_argument("--http-url", required=True)
    words.add_argument("--live-url", required=True)
    words.add_argument("--template", type=Path, required=True)
    given = words.parse_args()
    settings = ViewerSettings(
        given.files, given.http_url, given.live_url, security_headers(given.template, given.live_url)
    )
    web.run_app(
        build_app(settings), host="127.0.0.1", port=given.port, access_log=None, print=None, shutdown_timeout=1.0
    )


if __name__ == "__main__":
    main()
