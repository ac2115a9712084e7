"""The authorizers: agents' keys and roles, viewers' tickets, keys and tokens. Every cold start imports this module."""

from collections.abc import Callable, Mapping
from typing import Any

from registry.principal import Principal, from_context
from runtime.keys import bearer_token, parse_key, secret_digest

from . import core
from .store import Store

VerifyToken = Callable[[str], Principal | core.Refusal]
"""Returns the principal of an OpenID Connect token, or why the token is refused."""

IdentifyCaller = Callable[[str], core.Caller | core.Refusal]
"""Returns the AWS role or user behind a signed identity, or why the identity is refused."""


def authorize_token(
    store: Store, header: str | None, kind: str, now_ms: int, *, verify: VerifyToken, identify: IdentifyCaller
) -> Principal | core.Refusal:
    """Return the principal behind an Authorization header, or why it is refused.

    The header has a key, a viewer's OpenID Connect token, or an agent's AWS identity.

    Args:
        store: the registry.
        header: the header's value, if the request has one.
        kind: who may use this API, `agent` or `viewer`.
        now_ms: the time.
        verify: checks an OpenID Connect token.
        identify: finds the AWS role or user behind a signed identity.
    """
    token = bearer_token(header)
    if token is None:
        return core.Refusal("no_key")
    if kind == "viewer" and token.count(".") == 2:
        outcome = verify(token)
        if isinstance(outcome, Principal):
            known = store.principal(outcome.name)
            return core.Refusal("revoked") if known and known.get("revoked") else outcome
        return outcome
    if kind == "agent" and token.startswith("lfaws_"):
        caller = identify(token)
        return caller if isinstance(caller, core.Refusal) else _by_role(store, caller, now_ms)
    return _by_key(store, token, kind, now_ms)


def _by_role(store: Store, caller: core.Caller, now_ms: int) -> Principal | core.Refusal:
    mapped = store.role(caller.arn)
    if mapped is None or mapped.get("revoked"):
        return core.Refusal("unknown_role")
    # The mapping belongs to the role that existed then, not to a later role of the same name.
    bound = store.bind_role(caller.arn, int(mapped.get("created") or 0), caller.unique_id, now_ms)
    if bound != caller.unique_id:
        detail = f"{caller.arn} was {bound} when it first signed in, and is {caller.unique_id} now"
        return core.Refusal("recreated_role", detail)
    principal = store.principal(str(mapped["principal"]))
    return core.agent_principal(principal)


def _by_key(store: Store, token: str, kind: str, now_ms: int) -> Principal | core.Refusal:
    key = parse_key(token)
    if key is None:
        return core.Refusal("malformed_key")
    if key.kind == "grant" and kind == "viewer":
        share = store.share(key.credential)
        creator = store.principal(str(share["principal"])) if share else None
        return core.check_share(key, share, creator, now_ms)
    credential = store.credential(key.credential)
    principal = store.principal(str(credential["principal"])) if credential else None
    return core.check_key(key, kind, credential, principal, now_ms)


def authorize_ticket(
    store: Store, ticket: str | None, origin: str | None, allowed: tuple[str, ...], now_ms: int
) -> Principal | core.Refusal:
    """Return the principal that asked for a ticket, or why the ticket is refused. Either way the ticket is used up."""
    if not ticket or len(ticket) > 128:
        return core.Refusal("no_ticket")
    if not core.check_origin(origin, allowed):
        return core.Refusal("wrong_origin")
    stored = store.redeem_ticket(secret_digest(ticket))
    refusal = core.check_ticket(stored, origin, now_ms)
    if refusal is not None or stored is None:
        return refusal or core.Refusal("unknown_ticket")
    principal = from_context(stored)
    return core.Refusal("expired") if principal.expired(now_ms) else principal


def websocket_answer(outcome: Principal | core.Refusal, method_arn: str) -> dict[str, Any]:
    """Return a WebSocket authorizer's answer: a policy, because only HTTP APIs accept simple answers."""
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
    """Return an HTTP API authorizer's answer."""
    if isinstance(outcome, Principal):
        return {"isAuthorized": True, "context": outcome.to_context()}
    return {"isAuthorized": False}


def header(event: Mapping[str, Any], name: str) -> str | None:
    """Return a header's value, whatever the case of its name."""
    for key, value in (event.get("headers") or {}).items():
        if key.lower() == name:
            return str(value)
    return None
