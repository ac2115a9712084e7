"""Decides who is let in and what an agent is told. It has no clock and no network: all facts are arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from registry.principal import Principal, creator_revoked
from runtime.keys import Key

CONNECTION_LIFE_S: Final = 2 * 3600 + 600
"""How long the registry keeps a connection whose end it never heard of: API Gateway's two hours and a margin."""

WATCH_MS: Final = 150_000
"""How long an agent treats a job as watched. A viewer's pings, every 30 s, renew the watch."""

WATCH_RENEW_MS: Final = 75_000
"""A watch with less time left than this is renewed."""

_INTERVALS: Final = ((20, 0), (100, 100), (500, 250), (2_000, 500))
_SLOWEST_INTERVAL_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody is not let in. Metrics and the log get the reason; the client only learns that it is refused."""

    reason: str
    detail: str = ""
    """What else an operator needs to know. Only the log shows it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a request to AWS, as STS says."""

    arn: str
    """The ARN of the role or user, not of the session."""
    unique_id: str
    """AROA… or AIDA…. A role that is deleted and created again with the same name gets another id."""


UNAVAILABLE: Final = frozenset({"issuer_unavailable", "identity_unavailable"})
"""Refusals that say nothing about the client: the issuer or STS did not answer."""


class UnavailableError(Exception):
    """The client's identity could not be checked. The request fails, and the client may repeat it."""


def check_key(  # noqa: PLR0911 - one line for each thing that can be wrong
    key: Key, kind: str, credential: Mapping[str, Any] | None, principal: Mapping[str, Any] | None, now_ms: int
) -> Principal | Refusal:
    """Return the principal behind a presented key, or why the key is refused.

    Args:
        key: the presented key.
        kind: who may use this API, `agent` or `viewer`.
        credential: the registry's item of the key, if there is one.
        principal: the registry's item of the key's principal, if there is one.
        now_ms: the time.
    """
    if credential is None:
        return Refusal("unknown_credential")
    if not key.matches(credential.get("sha256")):
        return Refusal("wrong_secret")
    if key.kind != kind or credential.get("kind") != kind:
        return Refusal("wrong_kind")
    if credential.get("revoked"):
        return Refusal("revoked")
    expires = int(credential.get("expires") or 0)
    if expires and expires * 1000 <= now_ms:
        return Refusal("expired")
    if principal is None or principal.get("kind") != kind:
        return Refusal("unknown_principal")
    if principal.get("revoked"):
        return Refusal("revoked")
    return Principal(
        kind="agent" if kind == "agent" else "viewer",
        name=str(principal["name"]),
        credential=key.credential,
        owner=str(principal.get("owner") or ""),
        owners=tuple(principal.get("owners") or ()),
        daily_bytes=int(principal.get("daily_bytes") or 0),
        subject=str(principal.get("subject") or ""),
        groups=tuple(principal.get("groups") or ()),
        admin=bool(principal.get("admin")),
        expires=expires,
    )


def agent_principal(principal: Mapping[str, Any] | None) -> Principal | Refusal:
    """Return the agent principal to which an AWS role is mapped, or why it is refused. It has no credential."""
    if principal is None or principal.get("kind") != "agent":
        return Refusal("unknown_principal")
    if principal.get("revoked"):
        return Refusal("revoked")
    owner, owners = str(principal.get("owner") or ""), tuple(principal.get("owners") or ())
    quota = int(principal.get("daily_bytes") or 0)
    return Principal("agent", str(principal["name"]), "", owner=owner, owners=owners, daily_bytes=quota)


def check_share(
    key: Key, grant: Mapping[str, Any] | None, creator: Mapping[str, Any] | None, now_ms: int
) -> Principal | Refusal:
    """Return the principal behind a share, or why the share is refused.

    It may read one job, until the share or its creator's rights end.

    Args:
        key: the presented secret.
        grant: the registry's item of the share, if there is one.
        creator: the registry's item of the principal that made it, if there is one.
        now_ms: the time.
    """
    if grant is None:
        return Refusal("unknown_grant")
    if not key.matches(grant.get("sha256")):
        return Refusal("wrong_secret")
    if grant.get("revoked") or creator_revoked(grant, creator):
        return Refusal("revoked")
    expires = int(grant["expires"])
    if expires * 1000 <= now_ms:
        return Refusal("expired")
    name = f"share-{key.credential}"
    return Principal("viewer", name, "", subject=name, expires=expires, grant=key.credential, job=str(grant["job"]))


def is_revoked(principal: Principal, opener: Mapping[str, Any] | None, holder: Mapping[str, Any] | None) -> bool:
    """Return whether a principal was revoked since an authorizer checked it, or since its ticket was issued.

    Args:
        principal: who was let in.
        opener: the registry's item of its share or key, where it has one.
        holder: the registry's item of the principal behind that, or of the principal itself.
    """
    if principal.grant or principal.credential:
        if opener is None or opener.get("revoked"):
            return True
        return creator_revoked(opener, holder)
    return bool((holder or {}).get("revoked"))


def check_origin(origin: str | None, allowed: tuple[str, ...]) -> bool:
    """Return whether a page of this origin may connect. Programs send no origin, and have no cookies to abuse."""
    return origin is None or origin in allowed


def check_ticket(ticket: Mapping[str, Any] | None, origin: str | None, now_ms: int) -> Refusal | None:
    """Return why a redeemed ticket is refused, or None if it is valid."""
    if ticket is None:
        return Refusal("unknown_ticket")
    if int(ticket["until"]) <= now_ms:
        return Refusal("expired_ticket")
    if (ticket.get("origin") or None) != origin:
        return Refusal("wrong_origin")
    return None


def connection_expiry(principal: Principal, now_ms: int) -> int:
    """Return when a connection and its subscriptions expire at the latest, in seconds since 1970."""
    latest = now_ms // 1000 + CONNECTION_LIFE_S
    return min(latest, principal.expires) if principal.expires else latest


def watch_interval(viewers: int) -> int:
    """Return the least time between two batches of a job, in milliseconds. Each batch is sent to every viewer."""
    for most, interval in _INTERVALS:
        if viewers <= most:
            return interval
    return _SLOWEST_INTERVAL_MS


def list_owners(principal: Principal, asked: str | None) -> tuple[str, ...]:
    """Return the owners under which a live list is kept; empty if the viewer may see none of what it asks for."""
    readable = principal.readable_owners()
    if asked is not None:
        return (asked,) if readable is None or asked in readable else ()
    return ("*",) if readable is None else readable
