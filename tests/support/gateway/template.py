"""Read the WebSocket APIs of template.yaml, as far as API Gateway acts on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import templates


@dataclass(frozen=True, slots=True)
class Route:
    """One route of an API."""

    key: str
    function: str
    """The function's logical id."""
    answers: bool
    """Whether the function's result is sent to the client: "API Gateway will not pass the backend response through
    to the route response unless you set up a route response", and only the `$default` one is supported.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html"""


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """One `AWS::Serverless::WebSocketApi`."""

    name: str
    """Its logical id."""
    stage: str
    selection: tuple[str, ...]
    """The path in a message's body that names its route, from `$request.body.…`."""
    routes: Mapping[str, Route]
    authorizer: str | None
    """The authorizing function's logical id."""
    identity_sources: tuple[str, ...]
    rate: float
    burst: int
    authorizer_id: str = ""
    """The logical id that SAM gives the authorizer's resource."""

    def route_for(self, text: str) -> Route | None:
        """Return the route of a message: the one that its body names, else `$default`, else none.

        AWS: "If the route selection expression can't be evaluated (not JSON, no such field) or matches no route key,
        $default". A body that names `$connect` or `$disconnect` goes to those routes here, with eventType MESSAGE.
        AWS does not document its behaviour, and this is the worst case.
        """
        try:
            found: Any = json.loads(text)
        except ValueError:
            found = None
        for name in self.selection:
            found = found.get(name) if isinstance(found, dict) else None
        key = found if isinstance(found, str) else "$default"
        return self.routes.get(key) or self.routes.get("$default")


def load_template(path: Path) -> dict[str, Any]:
    """Return the template as data."""
    return templates.parse(path.read_text(encoding="utf-8"))


def read_template(path: Path) -> dict[str, WebSocketApi]:
    """Return every WebSocket API of the template by its logical id."""
    return apis_of(load_template(path))


def apis_of(document: Mapping[str, Any]) -> dict[str, WebSocketApi]:
    """Return the same from a parsed document."""
    resources = document["Resources"]
    parameters = document.get("Parameters", {})
    answered = {
        (resource["Properties"]["ApiId"]["Ref"], resource["Properties"]["RouteId"]["Ref"])
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGatewayV2::RouteResponse"
        and resource["Properties"].get("RouteResponseKey") == "$default"
    }
    apis = {}
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Serverless::WebSocketApi":
            continue
        properties = resource["Properties"]
        routes = {}
        for key, route in properties["Routes"].items():
            # SAM names a route's resource after the API and the key.
            logical_id = f"{name}{key.lstrip('$').title()}Route"
            answers = (name, logical_id) in answered and route.get("RouteResponseSelectionExpression") == "$default"
            routes[key] = Route(key, name_in(route["FunctionArn"]), answers)
        auth = properties.get("Auth", {})
        settings = properties.get("DefaultRouteSettings", {})
        expression = properties.get("RouteSelectionExpression", "$request.body.action")
        apis[name] = WebSocketApi(
            name=name,
            stage=properties.get("StageName", "default"),
            selection=tuple(expression.removeprefix("$request.body.").split(".")),
            routes=routes,
            authorizer=name_in(auth["AuthArn"]) if auth.get("AuthType") == "CUSTOM" else None,
            identity_sources=tuple(auth.get("IdentitySource", ())),
            rate=float(value_of(settings.get("ThrottlingRateLimit", 10_000), parameters)),
            burst=int(value_of(settings.get("ThrottlingBurstLimit", 5_000), parameters)),
            authorizer_id=f"{name}ConnectAuthorizer",
        )
    return apis


def value_of(given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a value, or the default of the parameter that it names."""
    return parameters[given["Ref"]]["Default"] if isinstance(given, dict) else given


def name_in(value: Any) -> str:
    """Return the only resource that a value names: by Ref, by GetAtt, or in a Sub."""
    ((kind, inner),) = value.items()
    if kind == "Ref":
        return str(inner)
    if kind == "Fn::GetAtt":
        return str(inner[0] if isinstance(inner, list) else inner.partition(".")[0])
    if kind == "Fn::Sub":
        names = [part.partition("}")[0] for part in str(inner).split("${")[1:]]
        ((name),) = [one for one in names if not one.startswith("AWS::")]
        return name.partition(".")[0]
    raise ValueError(f"{kind} is not known here")
