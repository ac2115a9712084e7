"""Serves connect's events: authorizers, connections, and viewers' messages."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from registry.principal import NotAuthenticatedError, Principal, from_context
from runtime.metrics import flush
from runtime.websocket_push import Post

from . import authorizers, core
from .settings import Settings
from .store import Store

Event = Mapping[str, Any]
Handler = Callable[[Event, Any], dict[str, Any]]

OK: dict[str, Any] = {"statusCode": 200}
REFUSED: dict[str, Any] = {"statusCode": 403}
"""The handshake fails, as it does when an authorizer refuses."""


def build_handler(
    store: Store,
    settings: Settings,
    agents: Callable[[], Post],
    *,
    logger: Logger,
    metrics: Metrics,
    verify: authorizers.VerifyToken = lambda _token: core.Refusal("no_issuer"),
    identify: authorizers.IdentifyCaller = lambda _token: core.Refusal("no_identity"),
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Handler:
    """Return the Lambda handler.

    Args:
        store: the tables.
        settings: the function's settings.
        agents: makes the client that pushes to agents. It is called when the first agent is told something.
        logger: takes refusals and failures.
        metrics: counts refusals and failures.
        verify: checks an OpenID Connect token.
        identify: finds the AWS role or user behind a signed identity.
        now_ms: the clock.
    """

    def authorizer(event: Event) -> dict[str, Any]:
        if "routeArn" in event:
            outcome = by_token(event, "viewer")
            return authorizers.http_answer(counted(outcome, "http"))
        if event["requestContext"]["apiId"] == settings.agents_api:
            outcome = by_token(event, "agent")
            return authorizers.websocket_answer(counted(outcome, "agents"), event["methodArn"])
        query = event.get("queryStringParameters") or {}
        origin = authorizers.header(event, "origin")
        outcome = authorizers.authorize_ticket(store, query.get("ticket"), origin, settings.viewer_origins, now_ms())
        return authorizers.websocket_answer(counted(outcome, "viewers"), event["methodArn"])

    def by_token(event: Event, kind: str) -> Principal | core.Refusal:
        header = authorizers.header(event, "authorization")
        return authorizers.authorize_token(store, header, kind, now_ms(), verify=verify, identify=identify)

    def counted(outcome: Principal | core.Refusal, api: str) -> Principal | core.Refusal:
        # A refusal is a metric and a log line, never a write: a write would be a lever for whoever guesses keys.
        if isinstance(outcome, core.Refusal):
            metrics.add_metric(name="AuthenticationRefused", unit=MetricUnit.Count, value=1)
            metrics.add_metadata(key="reason", value=outcome.reason)
            logger.info("refused", extra={"api": api, "reason": outcome.reason, "detail": outcome.detail})
            if outcome.reason in core.UNAVAILABLE:
                raise core.UnavailableError(outcome.reason)
            return outcome
        return _fitted(outcome, api, logger, metrics)

    def connected(event: Event) -> dict[str, Any]:
        principal, now = from_context(event["requestContext"].get("authorizer")), now_ms()
        connection = event["requestContext"]["connectionId"]
        # The write comes before the read. A revocation after it finds the connection and closes it; one before it is
        # seen here. A ticket may be 30 seconds old.
        store.put_connection(connection, principal, core.connection_expiry(principal, now), now)
        if core.is_revoked(principal, *store.opener_and_holder(principal)):
            store.remove_connection(connection)
            counted(core.Refusal("revoked"), "connect")
            return REFUSED
        return OK

    def message(event: Event) -> dict[str, Any]:
        # Imported with the first message: the models cost more than everything else in a cold start, and authorizers
        # need none of them (ADR 6).
        from .message_handler import MessageHandler  # noqa: PLC0415

        principal = from_context(event["requestContext"].get("authorizer"))
        messages = MessageHandler(store, agents, now_ms, logger, metrics)
        body = messages.answer(event["requestContext"]["connectionId"], principal, event.get("body") or "")
        return {"statusCode": 200, "body": body}

    def handle(event: Event, context: Any) -> dict[str, Any]:
        if event.get("type") == "REQUEST":
            return authorizer(event)
        match event["requestContext"].get("eventType"):
            case "CONNECT":
                return connected(event)
            case "DISCONNECT":
                store.remove_connection(event["requestContext"]["connectionId"])
                return OK
            case _:
                return message(event)

    def handler(event: Event, context: Any) -> dict[str, Any]:
        try:
            return handle(event, context)
        except NotAuthenticatedError:
            logger.exception("the request has no authorizer context")
            return _failed(event, "unauthorized")
        except Exception:  # only the log gets the exception's text, no client does
            logger.exception("connect failed")
            metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
            if event.get("type") == "REQUEST":
                # A denial would look like a wrong key, and sign people out because a table throttles. When an
                # authorizer fails, API Gateway answers 500 without a reason.
                raise
            return _failed(event, "internal")
        finally:
            flush(metrics)

    return handler


def _fitted(principal: Principal, api: str, logger: Logger, metrics: Metrics) -> Principal:
    """Return the principal as an authorizer's result can carry it. A metric and the log say what was left out."""
    fitted = principal.fitted()
    if fitted.left_out:
        metrics.add_metric(name="GroupsLeftOut", unit=MetricUnit.Count, value=fitted.left_out)
        logger.warning(
            "groups or owners were left out, because an authorizer's result has at most 8 KB",
            extra={"api": api, "principal": fitted.name, "subject": fitted.subject, "left_out": fitted.left_out},
        )
    return fitted


def _failed(event: Event, code: str) -> dict[str, Any]:
    """Return the answer to an event that could not be served. An authorizer refuses."""
    if event.get("type") == "REQUEST":
        refusal = core.Refusal(code)
        if "routeArn" in event:
            return authorizers.http_answer(refusal)
        return authorizers.websocket_answer(refusal, str(event.get("methodArn", "")))
    if (event.get("requestContext") or {}).get("eventType") != "MESSAGE":
        return {"statusCode": 500}
    sentence = "Not signed in." if code == "unauthorized" else "The request failed on the server. Try again."
    return {
        "statusCode": 200,
        "body": json.dumps({"type": "error", "code": code, "message": sentence, "retry": code == "internal"}),
    }
