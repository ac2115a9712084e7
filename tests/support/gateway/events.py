"""Build the events that API Gateway makes for WebSocket routes and their authorizer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

ACCOUNT = "000000000000"
REGION = "us-east-1"


def new_connection_id() -> str:
    """Return an id as AWS makes them: base64 with its padding (`L0SM9cOFvHcCIhw=`), which a path has to escape."""
    return base64.urlsafe_b64encode(secrets.token_bytes(11)).decode()


@dataclass(slots=True)
class Handshake:
    """A client's upgrade request, in the forms that events carry it."""

    path: str
    headers: dict[str, list[str]]
    """Keys are names as the client wrote them: API Gateway does not lower-case them."""
    query: dict[str, list[str]]
    source_ip: str
    connection_id: str = field(default_factory=new_connection_id)
    connected_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    authorizer: dict[str, Any] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """Return the last value of a header; its name may be in any case."""
        found = [values[-1] for key, values in self.headers.items() if key.lower() == name.lower()]
        return found[-1] if found else None


def handshake_of(path: str, headers: Headers, source_ip: str) -> Handshake:
    """Read an upgrade request."""
    grouped: dict[str, list[str]] = {}
    for name, value in headers.raw_items():
        grouped.setdefault(name, []).append(value)
    parts = urlsplit(path)
    return Handshake(parts.path, grouped, parse_qs(parts.query, keep_blank_values=True), source_ip)


def request_context(
    handshake: Handshake, api_id: str, stage: str, route: str, kind: str, request_id: str
) -> dict[str, Any]:
    """Return what all events share. `kind` is CONNECT, MESSAGE or DISCONNECT."""
    now = time.time()
    context: dict[str, Any] = {
        "routeKey": route,
        "eventType": kind,
        "messageDirection": "IN",
        "extendedRequestId": request_id,
        "requestId": request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "connectedAt": handshake.connected_ms,
        "stage": stage,
        "identity": {"sourceIp": handshake.source_ip, "userAgent": handshake.header("user-agent") or ""},
        "domainName": f"{api_id}.execute-api.{REGION}.amazonaws.com",
        "connectionId": handshake.connection_id,
        "apiId": api_id,
    }
    if handshake.authorizer:
        context["authorizer"] = handshake.authorizer
    return context


def new_request_id() -> str:
    """Return an id for one request."""
    return str(uuid.uuid4())


def connect_fields(handshake: Handshake) -> dict[str, Any]:
    """Return the handshake's headers and query for $connect and its authorizer; later events carry none."""
    fields: dict[str, Any] = {
        "headers": {name: values[-1] for name, values in handshake.headers.items()},
        "multiValueHeaders": handshake.headers,
    }
    if handshake.query:  # absent, not null, without a query
        fields["queryStringParameters"] = {name: values[-1] for name, values in handshake.query.items()}
        fields["multiValueQueryStringParameters"] = handshake.query
    return fields


def api_arn(api_id: str) -> str:
    """Return the ARN with which those of an API's routes and authorizers begin."""
    return f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api_id}"


def method_arn(api_id: str, stage: str) -> str:
    """Return the resource that an authorizer decides about."""
    return f"{api_arn(api_id)}/{stage}/$connect"


def refusal(message: str, connection_id: str, request_id: str) -> dict[str, str]:
    """Return an error of API Gateway's own, as it is sent to a client."""
    return {"message": message, "connectionId": connection_id, "requestId": request_id}
