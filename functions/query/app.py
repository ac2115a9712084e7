"""The HTTP API's routes. Each begins with /api, as CloudFront and the local viewer server pass paths on unchanged."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit

from registry.principal import NotAuthenticatedError, Principal, from_context
from registry.telemetry import flush

from .core import ParameterError
from .export import CONTENT_TYPES
from .problems import BadRequestError, NotFoundError, ProblemError, response
from .service import Service

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

NEVER_CACHED: Final = {"Cache-Control": "no-store"}


def build_handler(service: Service, logger: Logger, metrics: Metrics) -> Handler:
    """The Lambda handler."""
    routes = build_routes(service)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        began = time.monotonic()
        try:
            return routes.resolve(event, context)
        except Exception:  # whatever it says is for the log: no exception's text reaches a client
            logger.exception("query failed")
            metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
            problem = response(ProblemError(500, "internal", "The request failed here. Try again."))
            return {"statusCode": 500, "headers": {"Content-Type": problem.content_type}, "body": problem.body}
        finally:
            milliseconds = (time.monotonic() - began) * 1000
            metrics.add_metric(name="Answered", unit=MetricUnit.Milliseconds, value=milliseconds)
            flush(metrics)

    return handler


def build_routes(service: Service) -> APIGatewayHttpResolver:
    """The routes over a service."""
    app = APIGatewayHttpResolver(enable_validation=False)

    def principal() -> Principal:
        who = from_context(app.current_event.request_context.authorizer.get_lambda)
        if who.kind != "viewer":
            raise NotAuthenticatedError
        return who

    def parameters() -> Mapping[str, str]:
        return app.current_event.query_string_parameters or {}

    @app.get("/api/me")
    def me() -> Response[str]:
        return _json(service.me(principal()))

    @app.get("/api/jobs")
    def jobs() -> Response[str]:
        labels = (app.current_event.multi_value_query_string_parameters or {}).get("label") or []
        return _json(service.jobs(principal(), parameters(), labels))

    @app.get("/api/jobs/<job>")
    def job(job: str) -> Response[str]:
        return _json(service.job(principal(), job))

    @app.get("/api/jobs/<job>/batches")
    def batches(job: str) -> Response[str]:
        return _json(service.batches(principal(), job, parameters()))

    @app.get("/api/jobs/<job>/export")
    def export(job: str) -> Response[str]:
        page = service.export(principal(), job, parameters())
        headers: dict[str, str | list[str]] = dict(NEVER_CACHED)
        if page.resume is not None:
            headers["Link"] = f'</api/jobs/{job}/export?format={page.format}&after={page.resume}>; rel="next"'
            headers["Logferry-Next"] = str(page.resume)
        return Response(200, CONTENT_TYPES[page.format], page.text, headers=headers)

    @app.post("/api/tickets")
    def tickets() -> Response[str]:
        origin = app.current_event.headers.get("origin")
        return _json(service.ticket(principal(), origin), 201)

    @app.exception_handler(ProblemError)  # type: ignore[untyped-decorator]
    def problem(error: ProblemError) -> Response[str]:
        return response(error)

    @app.exception_handler(ParameterError)  # type: ignore[untyped-decorator]
    def bad_parameter(error: ParameterError) -> Response[str]:
        return response(BadRequestError(str(error)))

    @app.exception_handler(NotAuthenticatedError)  # type: ignore[untyped-decorator]
    def nobody(_error: NotAuthenticatedError) -> Response[str]:
        return response(ProblemError(401, "unauthorized", "Not signed in."))

    @app.not_found
    def no_route(_error: Exception) -> Response[str]:
        return response(NotFoundError("There is nothing at this address."))

    return app


def _json(document: Mapping[str, Any], status: int = 200) -> Response[str]:
    headers: dict[str, str | list[str]] = dict(NEVER_CACHED)
    return Response(status, "application/json", json.dumps(document, separators=(",", ":")), headers=headers)
