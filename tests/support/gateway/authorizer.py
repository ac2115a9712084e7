"""Call the REQUEST authorizer of `$connect`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from tests.support.gateway.events import Handshake


class RefusedError(Exception):
    """An HTTP error that answers the handshake."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


def require_identity(handshake: Handshake, sources: tuple[str, ...]) -> None:
    """Raise RefusedError (401) unless every identity source is there; the function is then not invoked."""
    for source in sources:
        place, _, name = source.removeprefix("route.request.").partition(".")
        if place == "header":
            value = handshake.header(name)
        elif place == "querystring":
            value = handshake.query.get(name, [""])[-1]
        else:
            raise ValueError(f"identity source {source} is not known here")
        if not value:
            raise RefusedError(401, "Unauthorized")


def context_of(result: Any, arn: str, max_bytes: int) -> dict[str, Any]:
    """Return what the authorizer adds to every later event.

    Raise RefusedError: 403 if it denies, 500 without a policy.
    """
    if not isinstance(result, dict) or not isinstance(result.get("policyDocument"), dict):
        raise RefusedError(500, "Internal server error")
    if len(json.dumps(result).encode()) > max_bytes:
        raise RefusedError(500, "Internal server error")
    context = result.get("context") or {}
    if any(not isinstance(value, str | int | float | bool) for value in context.values()):
        raise RefusedError(500, "Internal server error")
    if not _allows(result["policyDocument"], arn):
        raise RefusedError(403, "User is not authorized to access this resource with an explicit deny")
    # Functions receive strings, whatever type the authorizer gave.
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in context.items()}
    return {"principalId": str(result.get("principalId", "")), **texts}


def _allows(policy: dict[str, Any], arn: str) -> bool:
    effects = set()
    for statement in _listed(policy.get("Statement", [])):
        actions = [action.lower() for action in _listed(statement.get("Action", []))]
        named = any(fnmatchcase("execute-api:invoke", action) for action in actions)
        if named and any(fnmatchcase(arn, resource) for resource in _listed(statement.get("Resource", []))):
            effects.add(statement.get("Effect"))
    return effects == {"Allow"}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
