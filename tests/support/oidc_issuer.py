"""Run a small, real OpenID Connect issuer: code flow with PKCE, signed ID tokens, rotating refresh tokens, logout.

It refuses what an issuer must refuse: another client or redirect address, a code used twice or with the wrong verifier,
a refresh token that was used before.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT = "logferry-viewer"
SCOPE = "openid logs"
COOKIE = "issuer_session"


@dataclass(frozen=True, slots=True)
class _Code:
    redirect_uri: str
    challenge: str
    nonce: str | None


@dataclass
class OidcIssuer:
    """An issuer with one user, who clicks to sign in, and need not while the issuer's own session lives."""

    redirect_uri: str = ""
    """The only redirect address."""
    life_s: int = 3600
    deny: bool = False
    """Whether the user declines."""
    refresh: bool = True
    """Whether a refresh token works."""
    url: str = ""
    access_tokens: list[str] = field(default_factory=list)
    """Issued so far, the newest last."""
    renewals: int = 0
    _codes: dict[str, _Code] = field(default_factory=dict)
    _refresh_tokens: set[str] = field(default_factory=set)
    _sessions: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    async def start(self) -> None:
        """Listen on a free port of this machine."""
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/sign-in", self._sign_in)
        app.router.add_post("/token", self._token)
        app.router.add_get("/end", self._end)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        # Its host name differs from the viewer's: another site, as in production.
        self.url = f"http://localhost:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def accepts(self, authorization: str) -> bool:
        """Report whether an HTTP API that trusts this issuer accepts the header."""
        # The previous one is accepted too: requests were in transit when it was renewed.
        return authorization in {f"Bearer {token}" for token in self.access_tokens[-2:]}

    async def _discovery(self, _request: web.Request) -> web.Response:
        return _json(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "end_session_endpoint": f"{self.url}/end",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != self.redirect_uri:
            raise web.HTTPBadRequest(text="another client or redirect address")
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return self._back(
                error="invalid_request", error_description="a code with PKCE", state=asked.get("state", "")
            )
        if self.deny:
            return self._back(error="access_denied", error_description="you may not", state=asked.get("state", ""))
        if request.cookies.get(COOKIE) not in self._sessions:
            page = f'<form method="post" action="/sign-in?{urlencode(asked)}"><button>Sign in</button></form>'
            return web.Response(text=page.replace("&", "&amp;"), content_type="text/html")
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(asked["redirect_uri"], asked.get("code_challenge", ""), asked.get("nonce"))
        return self._back(code=code, state=asked.get("state", ""))

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        session = secrets.token_urlsafe(16)
        self._sessions.add(session)
        response = web.Response(status=303, headers={"Location": f"/authorize?{request.query_string}"})
        response.set_cookie(COOKIE, session, httponly=True, samesite="Lax")
        return response

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        nonce = None
        if form.get("grant_type") == "authorization_code":
            code = self._codes.pop(str(form.get("code")), None)
            if code is None or code.redirect_uri != form.get("redirect_uri") or form.get("client_id") != CLIENT:
                return _json({"error": "invalid_grant"}, 400)
            digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
                return _json({"error": "invalid_grant", "error_description": "the verifier is another's"}, 400)
            nonce = code.nonce
        elif form.get("grant_type") == "refresh_token":
            token = str(form.get("refresh_token"))
            if not self.refresh or token not in self._refresh_tokens:
                return _json({"error": "invalid_grant"}, 400)
            self._refresh_tokens.discard(token)
            self.renewals += 1
        else:
            return _json({"error": "unsupported_grant_type"}, 400)
        return self._grant(nonce)

    def _grant(self, nonce: str | None) -> web.Response:
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "sub": "ada", "iat": now, "exp": now + self.life_s}
        access, refresh = f"access-{secrets.token_urlsafe(24)}", f"refresh-{secrets.token_urlsafe(24)}"
        self.access_tokens.append(access)
        self._refresh_tokens.add(refresh)
        return _json(
            {
                "access_token": access,
                "refresh_token": refresh,
                "id_token": jwt.encode({**claims, **({"nonce": nonce} if nonce else {})}, self._key, algorithm="RS256"),
                "token_type": "Bearer",
                "expires_in": self.life_s,
                "scope": SCOPE,
            }
        )

    async def _end(self, request: web.Request) -> web.StreamResponse:
        self._sessions.discard(request.cookies.get(COOKIE, ""))
        raise web.HTTPSeeOther(request.query.get("post_logout_redirect_uri", "/"))

    def _back(self, **answer: str) -> web.Response:
        return web.Response(status=303, headers={"Location": f"{self.redirect_uri}?{urlencode(answer)}"})


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    # The page is of another origin: what an issuer for browsers sends.
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return web.json_response(body, status=status, headers=headers)
