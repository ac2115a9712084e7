"""Decide whether a function's resource policy lets API Gateway invoke it, and list the ARNs that it may send.

API Gateway names the route that it serves as `aws:SourceArn`. Without a statement that matches, the invocation is
refused, and the client gets 500.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-using-iam-policies-to-invoke-api
.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

SERVICE = "apigateway.amazonaws.com"
ACTION = "lambda:InvokeFunction"
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def permits(policy: Mapping[str, Any], source_arn: str) -> bool:
    """Return whether a resource policy allows API Gateway to invoke for this ARN."""
    return any(_matches(statement, source_arn) for statement in _listed(policy.get("Statement", [])))


def authorizer_source(api_arn: str, authorizer_id: str) -> str:
    """Return the ARN of a call to an authorizer.

    Args:
        api_arn: `arn:PARTITION:execute-api:REGION:ACCOUNT:API`.
        authorizer_id: The authorizer's id.
    """
    return f"{api_arn}/authorizers/{authorizer_id}"


def websocket_source(api_arn: str, stage: str, route_key: str) -> str:
    """Return the ARN of a call for a WebSocket route."""
    return f"{api_arn}/{stage}/{route_key}"


def http_sources(api_arn: str, stage: str, route_key: str) -> list[str]:
    """Return every ARN that API Gateway may send for a route of an HTTP API.

    AWS does not say whether a route for `ANY` is named by the request's verb, by `ANY` or by `*`. SAM's translator, CDK
    and Serverless write `*` into the permission, which matches all of them. Permissions have to match each.
    """
    verb, _, path = route_key.partition(" ")
    if not path:  # `$default`
        return [f"{api_arn}/{stage}/{route_key}"]
    return [f"{api_arn}/{stage}/{one}{path}" for one in ((*VERBS, "ANY", "*") if verb == "ANY" else (verb,))]


def _matches(statement: Mapping[str, Any], source_arn: str) -> bool:
    services = _listed(statement.get("Principal", {}).get("Service", []))
    actions = _listed(statement.get("Action", []))
    if statement.get("Effect") != "Allow" or SERVICE not in services or ACTION not in actions:
        return False
    conditions = list(_source_conditions(statement.get("Condition", {})))
    return all(arn_like(pattern, source_arn) for pattern in conditions)


def _source_conditions(condition: Mapping[str, Any]) -> Iterator[str]:
    for operator, keys in condition.items():
        for key, pattern in keys.items():
            if key.lower() == "aws:sourcearn":
                if operator not in ("ArnLike", "ArnEquals"):
                    raise ValueError(f"the condition {operator} is not known here")
                yield pattern


def arn_like(pattern: str, arn: str) -> bool:
    """Compare as IAM's `ArnLike`: `*` and `?` are wildcards, within each of the six parts between colons.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    if len(patterns) != len(parts):
        return False
    return all(_wild(one, part) for one, part in zip(patterns, parts, strict=True))


def _wild(pattern: str, text: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
