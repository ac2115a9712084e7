"""Serves ingest's events: one message of an agent in, one answer out."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel

from logferry_protocol.errors import ErrorCode, MalformedMessageError
from logferry_protocol.messages import Error, Ingest, Open, Ping, Status, encode
from registry.principal import NotAuthenticatedError, Principal, from_context
from runtime.metrics import flush

from . import request_parser
from .service import Service

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


def build_handler(
    service: Service,
    logger: Logger,
    metrics: Metrics,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Handler:
    """Return the Lambda handler."""

    def answer(principal: Principal, connection: str, raw: str) -> BaseModel:
        request = request_parser.parse_request(raw)
        message = request.message
        if principal.expired(now_ms()):
            return Error(
                id=message.id, code="expired", message="The agent's key has expired. Give the agent a new key."
            )
        match message:
            case Ingest():
                return service.ingest(principal, message, request.malformed)
            case Open():
                return service.open(principal, connection, message, request.malformed)
            case Status():
                return service.status(principal, message, request.malformed)
            case Ping():
                return service.ping(principal, connection, message)

    def agent_of(event: Mapping[str, Any]) -> Principal:
        principal = from_context(event["requestContext"].get("authorizer"))
        if principal.kind != "agent":
            raise NotAuthenticatedError
        return principal

    def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        try:
            principal = agent_of(event)
            reply = answer(principal, event["requestContext"]["connectionId"], event.get("body") or "")
            return _frame(reply)
        except MalformedMessageError as error:
            metrics.add_metric(name="MessagesMalformed", unit=MetricUnit.Count, value=1)
            return _error(error.request_id, "malformed", error.detail)
        except NotAuthenticatedError:
            logger.exception("the message has no agent principal")
            return _error(None, "unauthorized", "Not signed in.")
        except Exception:  # only the log gets the exception's text, no client does
            logger.exception("ingest failed")
            metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
            return _error(None, "internal", "The request failed on the server. Try again.", retry=True)
        finally:
            flush(metrics)

    return handler


def _frame(message: BaseModel) -> dict[str, Any]:
    return {"statusCode": 200, "body": encode(message)}


def _error(request: str | None, code: ErrorCode, sentence: str, *, retry: bool = False) -> dict[str, Any]:
    return _frame(Error(id=request, code=code, message=sentence, retry=retry))
