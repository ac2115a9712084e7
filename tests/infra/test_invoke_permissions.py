"""Test that API Gateway may invoke every function behind a route or an authorizer, however it names the call.

The template is translated as CloudFormation does it: SAM adds the permissions of the WebSocket APIs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.gateway import events
from tests.support.gateway.functions import HandlerFunctions
from tests.support.gateway.http_api import http_apis_of, refused_sources
from tests.support.gateway.permissions import authorizer_source, permits, websocket_source
from tests.support.gateway.template import apis_of, load_template
from tests.support.templates import ROOT
from tests.support.translation import translate

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": events.REGION, "AWS::AccountId": events.ACCOUNT}
Policies = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """Provide the template as the gateway reads it."""
    return load_template(ROOT / "template.yaml")


@pytest.fixture(scope="module")
def policies(template: dict[str, Any]) -> Policies:
    """Provide every function's resource policy, with the logical ids of resources in place of physical ones."""
    translated = translate(template, events.REGION)
    statements = defaultdict(list)
    for resource in translated["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Permission":
            function, statement = _statement(resource["Properties"])
            statements[function].append(statement)
    return {function: {"Statement": found} for function, found in statements.items()}


def _statement(properties: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    statement = {
        "Effect": "Allow",
        "Action": properties["Action"],
        "Principal": {"Service": properties["Principal"]},
        "Condition": {"ArnLike": {"AWS:SourceArn": _text(properties["SourceArn"])}},
    }
    return _text(properties["FunctionName"]), statement


def _text(value: Any) -> str:
    """Return a value with every resource's logical id in place of what it gives."""
    if isinstance(value, str):
        return value
    ((kind, inner),) = value.items()
    if kind == "Ref":
        return PSEUDO.get(inner, str(inner))
    if kind == "Fn::GetAtt":
        return str(inner[0] if isinstance(inner, list) else inner.partition(".")[0])
    assert kind == "Fn::Sub"
    text, given = inner if isinstance(inner, list) else (inner, {})
    names = {**PSEUDO, **{name: _text(one) for name, one in given.items()}}
    return re.sub(r"\$\{([^}]+)\}", lambda found: names.get(found[1], found[1].partition(".")[0]), text)


def websocket_calls(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the function and the source ARN of every call that the WebSocket APIs make."""
    for name, api in apis_of(template).items():
        arn = events.api_arn(name)
        for route in api.routes.values():
            yield route.function, websocket_source(arn, api.stage, route.key)
        if api.authorizer is not None:
            yield api.authorizer, authorizer_source(arn, api.authorizer_id)


def test_websocket_apis_may_invoke_their_functions(template: dict[str, Any], policies: Policies) -> None:
    """Otherwise a handshake is a 500, and a message is answered `Internal server error`."""
    calls = list(websocket_calls(template))
    assert len(calls) == 7 + 6 + 2
    assert [source for function, source in calls if not permits(policies[function], source)] == []


def test_http_apis_may_invoke_their_functions_by_any_name_of_the_route(
    template: dict[str, Any], policies: Policies
) -> None:
    """AWS may name a route for ANY by the request's verb, by ANY or by `*`."""
    functions = HandlerFunctions({}, policies)
    ids = {name: name for name in template["Resources"]}
    refused = [
        source
        for api in http_apis_of(template).values()
        for route in api.routes
        for source in refused_sources(api, route, ids, functions)
    ]
    assert refused == []


def test_permissions_allow_nothing_but_what_the_apis_call(template: dict[str, Any], policies: Policies) -> None:
    """Another API of the account, or another stage, must not invoke the functions."""
    for function, source in websocket_calls(template):
        other = source.replace(f":{source.split(':')[5].partition('/')[0]}/", ":other/")
        assert not permits(policies[function], other)
    assert not permits(policies["Query"], f"{events.api_arn('Http')}/test/GET/{{proxy+}}")
    assert not permits(policies["Query"], f"{events.api_arn('Other')}/$default/GET/{{proxy+}}")
