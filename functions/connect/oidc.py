"""Authenticates viewers with OpenID Connect tokens. The first such token imports this module; keys need none of it."""

import hashlib
import http.client
import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from registry.principal import Principal

from .core import Refusal

ALGORITHMS: Final = ("RS256", "ES256")
"""Pinned. A token must not choose `none`, nor a symmetric algorithm, which would turn a public key into a secret."""

KEYS_KEPT_S: Final = 3600.0
REFETCH_S: Final = 60.0
"""How often tokens with an unknown key may cause a fetch of the issuer's keys. Bad tokens must not flood the issuer."""

RETRY_S: Final = 5.0
"""How long the issuer is left alone after it did not answer. Meanwhile clients are told to try again, not refused."""

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
LEEWAY_S: Final = 30
LATEST_S: Final = 2**40
"""The latest valid time of a token, in 34,000 years. NaN and Infinity are not below it."""

ID_TOKEN: Final = "id"  # noqa: S105 - the kind of a token, and none
MAX_TOKEN_CHARS: Final = 8_192
MAX_DOCUMENT_BYTES: Final = 262_144

_OWNER: Final = re.compile(r"[A-Za-z0-9._@:-]{1,128}")
"""An owner of jobs, as `OWNER_PATTERN` of the wire says, whose module would import pydantic."""

Fetch = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Issuer:
    """The issuer, and what its tokens must have."""

    url: str
    client_id: str
    token: str
    """Which of its tokens are accepted: `id` or `access`."""
    subject_claim: str
    groups_claim: str
    admin_group: str


def _require_https(url: str) -> None:
    """Refuse every scheme but `https`. `http` is allowed on this machine, where tests and local clouds have an issuer.

    Raises:
        ValueError: it is another scheme, such as `file`.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("the issuer's address must be https")


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to addresses that `fetch` accepts."""

    def redirect_request(self, *given: Any) -> urllib.request.Request | None:
        """Check the new address, which is the last argument, and follow it."""
        _require_https(given[-1])
        return super().redirect_request(*given)


_OPENER: Final = urllib.request.build_opener(_HttpsRedirects)


def fetch(url: str) -> Mapping[str, Any]:
    """Return a JSON document of the issuer.

    Raises:
        ValueError: the address, or one that it redirects to, is not https, or the answer is not JSON.
        TypeError: the document is not an object.
        OSError: the issuer does not answer.
    """
    _require_https(url)
    with _OPENER.open(url, timeout=3) as answer:
        document = json.loads(answer.read(MAX_DOCUMENT_BYTES))
    if not isinstance(document, dict):
        raise TypeError("the issuer's document is not a JSON object")
    return document


@dataclass(slots=True)
class IssuerKeys:
    """Caches the issuer's public keys."""

    issuer: str
    fetch: Fetch = fetch
    clock: Callable[[], float] = time.monotonic
    _keys: dict[str, Any] = field(default_factory=dict)
    _fetched: float | None = None
    _failed: float | None = None
    """When fetching last failed, if nothing was fetched since."""

    def find(self, kid: str) -> Any | None:
        """Return the key with an id, or None if the issuer has none with it.

        Raises:
            OSError, ValueError, TypeError, KeyError: the issuer does not answer as it should.
        """
        now = self.clock()
        age = None if self._fetched is None else now - self._fetched
        if age is None or age > KEYS_KEPT_S or (kid not in self._keys and age > REFETCH_S):
            if self._failed is not None and now - self._failed < RETRY_S:
                raise OSError("the issuer did not answer a moment ago")
            self._failed = now
            self._keys = self._fetch_keys()
            self._fetched, self._failed = now, None
        return self._keys.get(kid)

    def _fetch_keys(self) -> dict[str, Any]:
        document = self.fetch(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document["issuer"] != self.issuer:
            raise ValueError("the issuer's document names another issuer")
        found = self.fetch(str(document["jwks_uri"]))
        usable = (key for key in found["keys"] if key.get("use", "sig") == "sig" and key.get("kid"))
        return {key["kid"]: key for key in usable}


_BAD_TOKEN: Final = (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What a bad token can raise. Nesting that is too deep, for one, is no library's own error."""


def is_token(text: str) -> bool:
    """Return whether a bearer token has the form of a signed JWT. Keys never have it."""
    return text.count(".") == 2 and len(text) <= MAX_TOKEN_CHARS


def check_token(issuer: Issuer, keys: IssuerKeys, token: str, now_s: float) -> Principal | Refusal:
    """Return the principal behind a token, or why the token is refused.

    A fault of the token is never taken for an issuer that does not answer, which is a failure of ours (500).

    Args:
        issuer: what the token must have.
        keys: the issuer's keys.
        token: the JWT.
        now_s: the time, in seconds since 1970.
    """
    found = _key_of(keys, token)
    if isinstance(found, Refusal):
        return found
    algorithm, key = found
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer.url,
            # The times are checked below with the given clock. So is the audience, because access tokens differ in it.
            options={"require": ["exp", "iss", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                     "verify_aud": False},
        )  # fmt: skip
    except _BAD_TOKEN:
        return Refusal("bad_token")
    refusal = _check_claims(issuer, claims, now_s)
    return refusal or _principal(issuer, claims)


def _key_of(keys: IssuerKeys, token: str) -> tuple[str, Any] | Refusal:
    """Return a token's algorithm and the issuer's key that it names, or why the token is refused."""
    if not is_token(token):
        return Refusal("bad_token")
    try:
        header = jwt.get_unverified_header(token)
    except _BAD_TOKEN:
        return Refusal("bad_token")
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        return Refusal("wrong_algorithm")
    try:
        known = keys.find(str(header.get("kid", "")))
        return Refusal("unknown_key") if known is None else (algorithm, jwt.PyJWK(known, algorithm=algorithm).key)
    except jwt.PyJWTError:
        return Refusal("bad_token")  # the algorithm does not fit the key
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Refusal("issuer_unavailable")


def _check_claims(issuer: Issuer, claims: Mapping[str, Any], now_s: float) -> Refusal | None:
    expires, begins = claims["exp"], claims.get("nbf", 0)
    if not _is_time(expires) or expires + LEEWAY_S <= now_s:
        return Refusal("expired")
    if not _is_time(begins) or begins - LEEWAY_S > now_s:
        return Refusal("not_yet")
    kind = claims.get("token_use")  # Cognito tells its tokens apart by this claim
    if kind is not None and kind != issuer.token:
        return Refusal("wrong_token")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if issuer.token == ID_TOKEN:
        several = len(audiences) > 1 and claims.get("azp") != issuer.client_id
        return Refusal("wrong_audience") if issuer.client_id not in audiences or several else None
    if kind is None and "nonce" in claims:
        return Refusal("wrong_token")  # an ID token instead of an access token
    named = [*audiences, claims.get("client_id"), claims.get("azp")]
    return None if issuer.client_id in named else Refusal("wrong_audience")


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST_S


def _principal(issuer: Issuer, claims: Mapping[str, Any]) -> Principal | Refusal:
    subject = claims.get(issuer.subject_claim)
    if not isinstance(subject, str) or not 1 <= len(subject) <= 128:
        return Refusal("no_subject")
    given = claims.get(issuer.groups_claim) or []
    named = [group for group in given if isinstance(group, str)] if isinstance(given, list) else []
    # No job has another owner, so the other groups could read nothing.
    groups = tuple(group for group in dict.fromkeys(named) if _OWNER.fullmatch(group))
    name = "oidc-" + hashlib.sha256(f"{issuer.url}\n{claims['sub']}".encode()).hexdigest()[:24]
    return Principal(
        "viewer",
        name,
        "",
        subject=subject,
        groups=groups,
        admin=bool(issuer.admin_group) and issuer.admin_group in named,
        expires=int(claims["exp"]),
    )
