"""Decides who is let in and what an agent is told. No clock, no network: what is known comes in as arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from registry.principal import Principal, creator_revoked
from runtime.keys import Key

CONNECTION_LIFE_S: Final = 2 * 3600 + 600
"""How long the registry remembers a connection whose end it was never told of: API Gateway's two hours and some."""

WATCH_MS: Final = 150_000
"""How long an agent believes that somebody looks; a viewer's pings, every 30 s, renew it."""

WATCH_RENEW_MS: Final = 75_000
"""A watch with less than this left is renewed."""

_INTERVALS: Final = ((20, 0), (100, 100), (500, 250), (2_000, 500))
_SLOWEST_INTERVAL_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody is not let in. For metrics and the log; the client is told no more than that it is refused."""

    reason: str
    detail: str = ""
    """What an operator needs to know beside it, in the log alone."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a request to AWS, as STS says."""

    arn: str
    """The role's or the user's, not the session's."""
    unique_id: str
    """AROA… or AIDA…: a role that is deleted and made again by the same name has another."""


UNAVAILABLE: Final = frozenset({"issuer_unavailable", "identity_unavailable"})
"""Refusals that say nothing of who asks: whoever could tell does not answer."""


class UnavailableError(Exception):
    """Who somebody is could not be found out. The request fails, and may be sent again."""


def check_key(  # noqa: PLR0911 - one line for each thing that can be wrong
    key: Key, kind: str, credential: Mapping[str, Any] | None, principal: Mapping[str, Any] | None, now_ms: int
) -> Principal | Refusal:
    """The principal behind a presented key, or why it does not count.

    Args:
        key: what was presented.
        kind: what is wanted here, `agent` or `viewer`.
        credential: the registry's item of the key's credential, if there is one.
        principal: the item of the credential's principal, if there is one.
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
    """The agent principal that an AWS role stands for. It has no credential."""
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
    """The principal behind a share link: one job, read only, as long as the link and its creator's rights live."""
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
    """Whether what stands behind somebody was revoked since an authorizer looked, or since a ticket was given.

    Args:
        principal: who was let in.
        opener: the registry's item of its share link or key, where it has one.
        holder: the item of the principal behind that, or of itself.
    """
    if principal.grant or principal.credential:
        if opener is None or opener.get("revoked"):
            return True
        return creator_revoked(opener, holder)
    return bool((holder or {}).get("revoked"))


def check_origin(origin: str | None, allowed: tuple[str, ...]) -> bool:
    """Whether a page of this origin may connect. Programs send none, and hold no cookie that a page could abuse."""
    return origin is None or origin in allowed


def check_ticket(ticket: Mapping[str, Any] | None, origin: str | None, now_ms: int) -> Refusal | None:
    """Why a ticket, just taken out of the registry, does not count; None when it does."""
    if ticket is None:
        return Refusal("unknown_ticket")
    if int(ticket["until"]) <= now_ms:
        return Refusal("expired_ticket")
    if (ticket.get("origin") or None) != origin:
        return Refusal("wrong_origin")
    return None


def connection_expiry(principal: Principal, now_ms: int) -> int:
    """Seconds since 1970 when a connection, and every subscription of it, ends at the latest."""
    latest = now_ms // 1000 + CONNECTION_LIFE_S
    return min(latest, principal.expires) if principal.expires else latest


def watch_interval(viewers: int) -> int:
    """The least milliseconds between two batches of a job that so many look at: what is sent is multiplied by them."""
    for most, interval in _INTERVALS:
        if viewers <= most:
            return interval
    return _SLOWEST_INTERVAL_MS


def list_owners(principal: Principal, asked: str | None) -> tuple[str, ...]:
    """Under which owners a live list is kept; empty when the viewer may see none of what it asks for."""
    readable = principal.readable_owners()
    if asked is not None:
        return (asked,) if readable is None or asked in readable else ()
    return ("*",) if readable is None else readable
