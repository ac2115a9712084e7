"""Test which calls of API Gateway a function's policy must allow, and when it does."""

from __future__ import annotations

from typing import Any

import pytest

from logferry_cli.invocations import function_arn, invocations_of, permits

FUNCTION = "arn:aws-cn:lambda:cn-north-1:123456789012:function:logs-Query-AB12"
API = "arn:aws-cn:execute-api:cn-north-1:123456789012:abc123"


def policy(pattern: str | None, **more: Any) -> dict[str, Any]:
    """Return a policy of one statement."""
    condition = {"ArnLike": {"AWS:SourceArn": pattern}} if pattern else {}
    return {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Principal": {"Service": "apigateway.amazonaws.com"},
                "Condition": condition,
                **more,
            }
        ]
    }


@pytest.mark.parametrize(
    "uri",
    [FUNCTION, f"arn:aws-cn:apigateway:cn-north-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"],
    ids=["HTTP API", "WebSocket API"],
)
def test_function_is_found_in_an_integrations_address(uri: str) -> None:
    """In both forms that API Gateway has."""
    assert function_arn(uri) == FUNCTION
    assert function_arn("https://example.com") is None


def test_calls_are_named_in_every_way_that_aws_may_choose() -> None:
    """A route for ANY has a name for each verb; the permission to add covers them all."""
    http, authorizer = invocations_of(
        "abc123", ["$default"], {"ANY /{proxy+}": FUNCTION, "GET /other": None}, {"a1": FUNCTION}
    )
    assert {f"{API}/$default/{verb}/{{proxy+}}" for verb in ("GET", "POST", "ANY", "*")} <= set(http.sources)
    assert all(permits(policy(http.permission), source) for source in http.sources)
    assert authorizer.sources == (f"{API}/authorizers/a1",)
    [message] = invocations_of("abc123", ["live"], {"$connect": FUNCTION}, {})
    assert message.sources == (f"{API}/live/$connect",)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (policy(f"{API}/live/ping"), True),
        (policy(f"{API}/*"), True),
        (policy("arn:aws-cn:execute-api:*:*:abc123/live/p?ng"), True),
        (policy(None), True),
        (policy(f"{API}/live/pong"), False),
        (policy("*"), False),
        (policy(f"{API}/live/ping", Effect="Deny"), False),
        (policy(f"{API}/live/ping", Action="lambda:GetFunction"), False),
        (policy(f"{API}/live/ping", Principal={"Service": "events.amazonaws.com"}), False),
        ({}, False),
    ],
)
def test_policy_allows_as_iam_decides(given: dict[str, Any], allowed: bool) -> None:
    """Wildcards count within one part of an ARN."""
    assert permits(given, f"{API}/live/ping") is allowed
