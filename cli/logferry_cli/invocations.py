"""Decide whether a function's policy lets API Gateway invoke it for a route or an authorizer. No I/O.

API Gateway names what it calls for as `aws:SourceArn`. A call that no statement of the policy matches is refused.
https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SERVICE: Final = "apigateway.amazonaws.com"
VERBS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_FUNCTION: Final = re.compile(r"arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call that API Gateway makes.

    Attributes:
        what: The route or authorizer, for people.
        function: The function's ARN.
        sources: Each ARN by which AWS may name the route or authorizer.
        permission: The pattern that a permission should name.
    """

    what: str
    function: str
    sources: tuple[str, ...]
    permission: str


def function_arn(uri: str) -> str | None:
    """Return the ARN of the function that an integration or authorizer calls, or None if it calls none."""
    found = _FUNCTION.search(uri)
    return found[0] if found else None


def invocations_of(
    api: str, stages: Sequence[str], routes: Mapping[str, str | None], authorizers: Mapping[str, str | None]
) -> Iterator[Invocation]:
    """Yield the calls that an API makes.

    Args:
        api: The API's id.
        stages: Its stages.
        routes: The function behind each route key.
        authorizers: The function behind each authorizer's id.
    """
    for key, function in routes.items():
        if function is None:
            continue
        for stage in stages:
            start = f"{_api_arn(function, api)}/{stage}/"
            verb, _, path = key.partition(" ")
            if not path:  # a WebSocket route, or `$default`
                yield Invocation(f"the route {key}", function, (f"{start}{key}",), f"{start}{key}")
                continue
            # AWS does not say by which of these names it calls for a route for ANY.
            names = (*VERBS, "ANY", "*") if verb == "ANY" else (verb,)
            permission = f"{start}{'*' if verb == 'ANY' else verb}{path}"
            yield Invocation(f"the route {key}", function, tuple(f"{start}{name}{path}" for name in names), permission)
    for authorizer, function in authorizers.items():
        if function is not None:
            source = f"{_api_arn(function, api)}/authorizers/{authorizer}"
            yield Invocation("the authorizer", function, (source,), source)


def permits(policy: Mapping[str, Any], source: str) -> bool:
    """Return whether a resource policy allows API Gateway to invoke for an ARN."""
    return any(_allows(statement, source) for statement in policy.get("Statement", ()))


def _allows(statement: Mapping[str, Any], source: str) -> bool:
    principal = statement.get("Principal", {})
    services = [principal] if isinstance(principal, str) else _listed(principal.get("Service", []))
    if statement.get("Effect") != "Allow" or not {SERVICE, "*"} & set(services):
        return False
    if not {"lambda:InvokeFunction", "lambda:*", "*"} & set(_listed(statement.get("Action", []))):
        return False
    patterns = [
        pattern
        for keys in statement.get("Condition", {}).values()
        for key, value in keys.items()
        if key.lower() == "aws:sourcearn"
        for pattern in _listed(value)
    ]
    return not patterns or any(_arn_like(pattern, source) for pattern in patterns)


def _arn_like(pattern: str, arn: str) -> bool:
    """Compare as IAM's `ArnLike`: wildcards count within each of the six parts between colons."""
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    return len(patterns) == len(parts) and all(
        # recheck: the permissions of the operator's own stack
        re.fullmatch(re.escape(one).replace(r"\*", ".*").replace(r"\?", "."), part, re.DOTALL)
        for one, part in zip(patterns, parts, strict=True)
    )


def _api_arn(function: str, api: str) -> str:
    _, partition, _, region, account, *_ = function.split(":")
    return f"arn:{partition}:execute-api:{region}:{account}:{api}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
