"""Read the HTTP APIs of template.yaml, and keep the limits of API Gateway that the emulator does not.

Quotas: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.gateway import events
from tests.support.gateway.functions import Functions
from tests.support.gateway.permissions import authorizer_source, http_sources
from tests.support.gateway.template import WebSocketApi, name_in, value_of


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One route of an HTTP API."""

    key: str
    """`ANY /{proxy+}`, or `$default`."""
    function: str
    """The logical id of the function behind it."""
    authorizer: str | None
    """The authorizer's logical id."""
    authorizing: str | None
    """The logical id of the authorizer's function."""


@dataclass(frozen=True, slots=True)
class HttpApi:
    """One `AWS::ApiGatewayV2::Api` whose protocol is HTTP."""

    name: str
    stage: str
    routes: tuple[HttpRoute, ...]
    rate: float
    burst: int

    def route_for(self, method: str, path: str) -> HttpRoute | None:
        """Return the route that serves a request: the most specific one, as AWS chooses.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
        """
        fitting = [route for route in self.routes if _fits(route.key, method, path)]
        return max(fitting, key=lambda route: _precision(route.key), default=None)


def _fits(key: str, method: str, path: str) -> bool:
    verb, _, pattern = key.partition(" ")
    if not pattern:
        return True
    if verb not in ("ANY", method):
        return False
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    if wanted[-1].endswith("+}"):
        return len(given) >= len(wanted) and given[-1] != "" and _same(wanted[:-1], given)
    return len(wanted) == len(given) and _same(wanted, given)


def _same(wanted: list[str], given: list[str]) -> bool:
    return all(one == other or one.startswith("{") for one, other in zip(wanted, given, strict=False))


def _precision(key: str) -> tuple[int, int, int]:
    verb, _, pattern = key.partition(" ")
    return (bool(pattern), -pattern.count("+}") - pattern.count("{"), verb != "ANY")


def http_apis_of(document: Mapping[str, Any], deployed: Container[str] | None = None) -> dict[str, HttpApi]:
    """Return every HTTP API of a parsed template by its logical id.

    Args:
        document: The template.
        deployed: The logical ids of a stack's resources, without those whose condition does not hold. None means all.
    """
    resources, parameters = document["Resources"], document.get("Parameters", {})
    if deployed is not None:
        resources = {name: one for name, one in resources.items() if name in deployed}
    apis = {}
    for name, resource in resources.items():
        if resource["Type"] != "AWS::ApiGatewayV2::Api" or resource["Properties"].get("ProtocolType") != "HTTP":
            continue
        of_api = {
            logical: one
            for logical, one in resources.items()
            if isinstance(one.get("Properties"), dict) and one["Properties"].get("ApiId") == {"Ref": name}
        }
        stages = [one["Properties"] for one in of_api.values() if one["Type"] == "AWS::ApiGatewayV2::Stage"]
        settings = stages[0].get("DefaultRouteSettings", {}) if stages else {}
        apis[name] = HttpApi(
            name=name,
            stage=stages[0]["StageName"] if stages else "$default",
            routes=tuple(
                _route(one["Properties"], of_api)
                for one in of_api.values()
                if one["Type"] == "AWS::ApiGatewayV2::Route"
            ),
            rate=float(value_of(settings.get("ThrottlingRateLimit", 10_000), parameters)),
            burst=int(value_of(settings.get("ThrottlingBurstLimit", 5_000), parameters)),
        )
    return apis


def _route(properties: Mapping[str, Any], of_api: Mapping[str, Any]) -> HttpRoute:
    target = name_in(properties["Target"])
    function = name_in(of_api[target]["Properties"]["IntegrationUri"])
    authorizer = name_in(properties["AuthorizerId"]) if "AuthorizerId" in properties else None
    authorizing = name_in(of_api[authorizer]["Properties"]["AuthorizerUri"]) if authorizer else None
    return HttpRoute(properties["RouteKey"], function, authorizer, authorizing)


def functions_called_by(websocket: Mapping[str, WebSocketApi], http: Mapping[str, HttpApi]) -> set[str]:
    """Return the logical ids of all functions that API Gateway calls."""
    found = {route.function for api in websocket.values() for route in api.routes.values()}
    found |= {api.authorizer for api in websocket.values() if api.authorizer}
    found |= {route.function for api in http.values() for route in api.routes}
    return found | {route.authorizing for api in http.values() for route in api.routes if route.authorizing}


def refused_sources(api: HttpApi, route: HttpRoute, ids: Mapping[str, str], functions: Functions) -> list[str]:
    """Return the ARNs for which a function behind a route may not be invoked.

    Args:
        api: The API.
        route: The route that serves a request.
        ids: Physical ids by logical ids.
        functions: The functions, which know their policies.
    """
    arn = events.api_arn(ids[api.name])
    calls = [(route.function, source) for source in http_sources(arn, api.stage, route.key)]
    if route.authorizer and route.authorizing:
        calls.append((route.authorizing, authorizer_source(arn, ids[route.authorizer])))
    return [source for function, source in calls if not functions.permits(function, source)]
