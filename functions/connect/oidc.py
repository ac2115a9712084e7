"""Viewers who sign in with OpenID Connect. Imported when the first token of that kind comes; keys need none of it."""

import hashlib
import json
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
"""Pinned: `none` and the symmetric ones, by which a public key becomes a secret, are no choice of a token's."""

KEYS_KEPT_S: Final = 3600.0
REFETCH_S: Final = 60.0
"""How often a token with an unknown key may make the issuer's keys be fetched again: junk must not hammer it."""

LEEWAY_S: Final = 30
ID_TOKEN: Final = "id"  # noqa: S105 - the kind of a token, and none
MAX_TOKEN_CHARS: Final = 8_192
MAX_DOCUMENT_BYTES: Final = 262_144
MAX_GROUPS: Final = 100

Fetch = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Issuer:
    """What counts of an issuer's tokens."""

    url: str
    client_id: str
    token: str
    """Which of its tokens are taken: `id` or `access`."""
    subject_claim: str
    groups_claim: str
    admin_group: str


def fetch(url: str) -> Mapping[str, Any]:
    """A JSON document of the issuer."""
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in {"127.0.0.1", "localhost"}:
        raise ValueError("an issuer is reached by https")
    with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - the scheme is checked above
        document = json.loads(answer.read(MAX_DOCUMENT_BYTES))
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    return document


@dataclass(slots=True)
class Keys:
    """The issuer's public keys, remembered."""

    issuer: str
    fetch: Fetch = fetch
    clock: Callable[[], float] = time.monotonic
    _keys: dict[str, Any] = field(default_factory=dict)
    _fetched: float | None = None

    def of(self, kid: str) -> Any | None:
        """The key of an id; None when the issuer has none such.

        Raises:
            OSError, ValueError, TypeError, KeyError: the issuer does not answer as it should.
        """
        age = None if self._fetched is None else self.clock() - self._fetched
        if age is None or age > KEYS_KEPT_S or (kid not in self._keys and age > REFETCH_S):
            self._fetched = self.clock()
            document = self.fetch(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if document["issuer"] != self.issuer:
                raise ValueError("the issuer says that it is another")
            found = self.fetch(str(document["jwks_uri"]))
            usable = (key for key in found["keys"] if key.get("use", "sig") == "sig" and key.get("kid"))
            self._keys = {key["kid"]: key for key in usable}
        return self._keys.get(kid)


def is_token(text: str) -> bool:
    """Whether a bearer token has the form of a signed JWT; keys never do."""
    return text.count(".") == 2 and len(text) <= MAX_TOKEN_CHARS


def check(issuer: Issuer, keys: Keys, token: str, now_s: float) -> Principal | Refusal:
    """The principal behind a token, or why it does not count."""
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            return Refusal("wrong_algorithm")
        key = keys.of(str(header.get("kid", "")))
        if key is None:
            return Refusal("unknown_key")
        claims = jwt.decode(
            token,
            jwt.PyJWK(key, algorithm=header["alg"]).key,
            algorithms=[header["alg"]],
            issuer=issuer.url,
            # The times are checked here, by the given clock; the audience below, because access tokens vary.
            options={"require": ["exp", "iss", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                     "verify_aud": False},
        )  # fmt: skip
    except jwt.PyJWTError:
        return Refusal("bad_token")
    except (OSError, ValueError, TypeError, KeyError):
        return Refusal("issuer_unavailable")
    refusal = _check_claims(issuer, claims, now_s)
    return refusal or _principal(issuer, claims)


def _check_claims(issuer: Issuer, claims: Mapping[str, Any], now_s: float) -> Refusal | None:
    expires, begins = claims["exp"], claims.get("nbf", 0)
    if not isinstance(expires, int | float) or expires + LEEWAY_S <= now_s:
        return Refusal("expired")
    if not isinstance(begins, int | float) or begins - LEEWAY_S > now_s:
        return Refusal("not_yet")
    kind = claims.get("token_use")  # Cognito's way to tell its tokens apart
    if kind is not None and kind != issuer.token:
        return Refusal("wrong_token")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if issuer.token == ID_TOKEN:
        several = len(audiences) > 1 and claims.get("azp") != issuer.client_id
        return Refusal("wrong_audience") if issuer.client_id not in audiences or several else None
    if kind is None and "nonce" in claims:
        return Refusal("wrong_token")  # an ID token where an access token is wanted
    named = [*audiences, claims.get("client_id"), claims.get("azp")]
    return None if issuer.client_id in named else Refusal("wrong_audience")


def _principal(issuer: Issuer, claims: Mapping[str, Any]) -> Principal | Refusal:
    subject = claims.get(issuer.subject_claim)
    if not isinstance(subject, str) or not 1 <= len(subject) <= 128:
        return Refusal("no_subject")
    given = claims.get(issuer.groups_claim) or []
    groups = tuple(group for group in given if isinstance(group, str))[:MAX_GROUPS] if isinstance(given, list) else ()
    name = "oidc-" + hashlib.sha256(f"{issuer.url}\n{claims['sub']}".encode()).hexdigest()[:24]
    return Principal(
        "viewer",
        name,
        "",
        subject=subject,
        groups=groups,
        admin=bool(issuer.admin_group) and issuer.admin_group in groups,
        expires=int(claims["exp"]),
    )
