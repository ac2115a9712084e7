"""Run a small, real OpenID Connect issuer: code flow with PKCE, signed ID tokens, rotating refresh tokens, logout.

It refuses what an issuer must refuse: another client or redirect address, a code used twice or with the wrong verifier,
a refresh token that was used before.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT = "logferry-viewer"
SCOPE = "openid logs"
COOKIE = "issuer_session"
SUBJECT = "ada"
KEY_ID = "key-1"
COGNITO_SCOPES = {"openid", "email", "phone", "profile", "aws.cognito.signin.user.admin"}


@dataclass(frozen=True, slots=True)
class _Code:
    redirect_uri: str
    challenge: str
    nonce: str | None
    scope: str


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
    _refresh_tokens: dict[str, str] = field(default_factory=dict)
    """Valid refresh tokens, and the scope of each."""
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
        app.router.add_get("/keys", self._keys)
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

    def keys(self) -> dict[str, Any]:
        """Return its public keys."""
        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    async def _keys(self, _request: web.Request) -> web.Response:
        return _json(self.keys())

    async def _discovery(self, _request: web.Request) -> web.Response:
        return _json(self.discovery())

    def discovery(self) -> dict[str, Any]:
        """Return its description."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "end_session_endpoint": f"{self.url}/end",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != self.redirect_uri:
            raise web.HTTPBadRequest(text="another client or redirect address")
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return self._back(
                error="invalid_request", error_description="a code with PKCE", state=asked.get("state", "")
            )
        if refusal := self._refused_scope(asked.get("scope", "").split()):
            return self._back(error="invalid_request", error_description=refusal, state=asked.get("state", ""))
        if self.deny:
            return self._back(error="access_denied", error_description="you may not", state=asked.get("state", ""))
        if request.cookies.get(COOKIE) not in self._sessions:
            page = f'<form method="post" action="/sign-in?{urlencode(asked)}"><button>Sign in</button></form>'
            return web.Response(text=page.replace("&", "&amp;"), content_type="text/html")
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(
            asked["redirect_uri"], asked.get("code_challenge", ""), asked.get("nonce"), asked.get("scope", "")
        )
        return self._back(code=code, state=asked.get("state", ""))

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        session = secrets.token_urlsafe(16)
        self._sessions.add(session)
        response = web.Response(status=303, headers={"Location": f"/authorize?{request.query_string}"})
        response.set_cookie(COOKIE, session, httponly=True, samesite="Lax")
        return response

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") == "authorization_code":
            code = self._codes.pop(str(form.get("code")), None)
            if code is None or code.redirect_uri != form.get("redirect_uri") or form.get("client_id") != CLIENT:
                return _json({"error": "invalid_grant"}, 400)
            digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
                return _json({"error": "invalid_grant", "error_description": "the verifier is another's"}, 400)
            return _json(self._grant(code.scope, code.nonce) | {"refresh_token": self._new_refresh_token(code.scope)})
        if form.get("grant_type") == "refresh_token":
            token = str(form.get("refresh_token"))
            if not self.refresh or token not in self._refresh_tokens:
                return _json({"error": "invalid_grant"}, 400)
            self.renewals += 1
            return _json(self._renewed(token))
        return _json({"error": "unsupported_grant_type"}, 400)

    def _new_refresh_token(self, scope: str) -> str:
        token = f"refresh-{secrets.token_urlsafe(24)}"
        self._refresh_tokens[token] = scope
        return token

    def _renewed(self, token: str) -> dict[str, Any]:
        """Return new tokens, and a new refresh token in place of the old one."""
        scope = self._refresh_tokens.pop(token)
        return self._grant(scope, None) | {"refresh_token": self._new_refresh_token(scope)}

    def _grant(self, scope: str, nonce: str | None) -> dict[str, Any]:
        access = self._access_token(scope)
        self.access_tokens.append(access)
        return {
            "access_token": access,
            "id_token": self._signed(self._id_claims() | ({"nonce": nonce} if nonce else {})),
            "token_type": "Bearer",
            "expires_in": self.life_s,
            "scope": scope,
        }

    def _signed(self, claims: dict[str, Any]) -> str:
        now = int(time.time())
        times = {"iss": self.url, "sub": SUBJECT, "iat": now, "exp": now + self.life_s}
        return jwt.encode({**times, **claims}, self._key, algorithm="RS256", headers={"kid": KEY_ID})

    # --- what issuers do differently ---------------------------------------------------------------------------------

    def _refused_scope(self, _scopes: list[str]) -> str:
        """Return why a request for these scopes is refused, or an empty text."""
        return ""

    def _access_token(self, _scope: str) -> str:
        return f"access-{secrets.token_urlsafe(24)}"

    def _id_claims(self) -> dict[str, Any]:
        return {"aud": CLIENT}

    async def _end(self, request: web.Request) -> web.StreamResponse:
        self._sessions.discard(request.cookies.get(COOKIE, ""))
        raise web.HTTPSeeOther(request.query.get("post_logout_redirect_uri", "/"))

    def _back(self, **answer: str) -> web.Response:
        return web.Response(status=303, headers={"Location": f"{self.redirect_uri}?{urlencode(answer)}"})


@dataclass
class CognitoIssuer(OidcIssuer):
    """An issuer with the ways of a Cognito user pool: its scopes, its tokens, its sign-out."""

    logout_uri: str = ""
    """The only allowed sign-out URL of the app client."""
    scopes: frozenset[str] = frozenset({"openid", "email"})
    """What the app client may ask for."""
    groups: tuple[str, ...] = ("operators",)
    logouts: list[str] = field(default_factory=list)
    """The query strings of the calls to the logout endpoint."""

    @property
    def logout_url(self) -> str:
        """Return the address of the logout endpoint: the template's parameter OidcLogout."""
        return f"{self.url}/end"

    def _refused_scope(self, scopes: list[str]) -> str:
        """https://docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html (invalid_scope)."""
        return "" if set(scopes) <= self.scopes & COGNITO_SCOPES else "invalid_scope"

    def _access_token(self, scope: str) -> str:
        """https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html.

        There is no `aud`; the client is in `client_id`.
        """
        return self._signed(
            {
                **self._pool_claims("access"),
                "client_id": CLIENT,
                "version": 2,
                "scope": scope,
                "username": SUBJECT,
            }
        )

    def _id_claims(self) -> dict[str, Any]:
        return {**self._pool_claims("id"), "aud": CLIENT, "cognito:username": SUBJECT, "email_verified": True}

    def _pool_claims(self, use: str) -> dict[str, Any]:
        groups = {"cognito:groups": list(self.groups)} if self.groups else {}
        return {"token_use": use, "jti": secrets.token_hex(8), "auth_time": int(time.time()), **groups}

    def _renewed(self, token: str) -> dict[str, Any]:
        """Return new tokens without a refresh token: the old one stays valid, unless rotation is on."""
        return self._grant(self._refresh_tokens[token], None)

    async def _end(self, request: web.Request) -> web.StreamResponse:
        """Sign out only with `client_id` and an allowed `logout_uri`; otherwise show an error and keep the session.

        https://docs.aws.amazon.com/cognito/latest/developerguide/logout-endpoint.html
        """
        self.logouts.append(request.query_string)
        if request.query.get("client_id") != CLIENT:
            return web.Response(status=400, text="Required String parameter 'client_id' is not present")
        if request.query.get("logout_uri") != self.logout_uri:
            return web.Response(status=400, text="Required parameter 'logout_uri' is missing or not allowed")
        self._sessions.discard(request.cookies.get(COOKIE, ""))
        return web.Response(status=302, headers={"Location": self.logout_uri})


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    # The page is of another origin: what an issuer for browsers sends.
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return web.json_response(body, status=status, headers=headers)
