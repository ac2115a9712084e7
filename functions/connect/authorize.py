"""The three authorizers: agent keys, viewers' tickets, viewer keys. Imports little: it is in every cold start."""

from collections.abc import Mapping
from typing import Any

from registry.principal import Principal, from_context
from registry.secrets import bearer, digest, parse_key

from . import core
from .store import Store


def by_key(store: Store, header: str | None, kind: str, now_ms: int) -> Principal | core.Refusal:
    """The principal behind an Authorization header."""
    token = bearer(header)
    if token is None:
        return core.Refusal("no_key")
    key = parse_key(token)
    if key is None:
        return core.Refusal("malformed_key")
    if key.kind == "grant" and kind == "viewer":
        grant = store.grant(key.credential)
        creator = store.principal(str(grant["principal"])) if grant else None
        return core.check_grant(key, grant, creator, now_ms)
    credential = store.credential(key.credential)
    principal = store.principal(str(credential["principal"])) if credential else None
    return core.check_key(key, kind, credential, principal, now_ms)


def by_ticket(
    store: Store, ticket: str | None, origin: str | None, allowed: tuple[str, ...], now_ms: int
) -> Principal | core.Refusal:
    """The principal who asked for a ticket. The ticket is used up, whatever becomes of it."""
    if not ticket or len(ticket) > 128:
        return core.Refusal("no_ticket")
    if not core.check_origin(origin, allowed):
        return core.Refusal("wrong_origin")
    stored = store.take_ticket(digest(ticket))
    refusal = core.check_ticket(stored, origin, now_ms)
    if refusal is not None or stored is None:
        return refusal or core.Refusal("unknown_ticket")
    principal = from_context(stored)
    return core.Refusal("expired") if principal.expired(now_ms) else principal


def websocket_answer(outcome: Principal | core.Refusal, method_arn: str) -> dict[str, Any]:
    """What a WebSocket API's authorizer returns: a policy, because simple answers are for HTTP APIs only."""
    allowed = isinstance(outcome, Principal)
    return {
        "principalId": outcome.name if isinstance(outcome, Principal) else "nobody",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow" if allowed else "Deny", "Resource": method_arn}
            ],
        },
        "context": outcome.to_context() if isinstance(outcome, Principal) else {},
    }


def http_answer(outcome: Principal | core.Refusal) -> dict[str, Any]:
    """What an HTTP API's authorizer returns."""
    if isinstance(outcome, Principal):
        return {"isAuthorized": True, "context": outcome.to_context()}
    return {"isAuthorized": False}


def header(event: Mapping[str, Any], name: str) -> str | None:
    """A header, whatever case its name came in."""
    for key, value in (event.get("headers") or {}).items():
        if key.lower() == name:
            return str(value)
    return None
