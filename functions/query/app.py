"""Serves the HTTP API's events: resolves routes, limits rates, and turns errors into problem documents."""

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit

from registry.principal import NotAuthenticatedError, Principal, from_context
from runtime.answer_size import to_json
from runtime.metrics import flush

from .core import ParameterError
from .export import CONTENT_TYPES, ExportPage
from .problems import BadRequestError, ForbiddenError, NotAllowedError, NotFoundError, ProblemError, response
from .rate_limiter import RateLimiter
from .routes import ROUTES, Request, Route
from .service import Service

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

NEVER_CACHED: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def build_handler(
    service: Service,
    logger: Logger,
    metrics: Metrics,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Handler:
    """Return the Lambda handler."""
    routes = build_routes(service, RateLimiter(), now_ms)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        began = time.monotonic()
        try:
            return routes.resolve(event, context)
        except Exception:  # only the log gets the exception's text, no client does
            logger.exception("query failed")
            metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
            problem = response(ProblemError(500, "internal", "The request failed on the server. Try again."))
            return {"statusCode": 500, "headers": {"Content-Type": problem.content_type}, "body": problem.body}
        finally:
            milliseconds = (time.monotonic() - began) * 1000
            metrics.add_metric(name="Answered", unit=MetricUnit.Milliseconds, value=milliseconds)
            flush(metrics)

    return handler


def build_routes(service: Service, rates: RateLimiter, now_ms: Callable[[], int]) -> APIGatewayHttpResolver:
    """Return a resolver of the routes in `ROUTES` that calls a service."""
    app = APIGatewayHttpResolver(enable_validation=False)

    def principal() -> Principal:
        who = from_context(app.current_event.request_context.authorizer.get_lambda)
        if who.kind != "viewer":
            raise NotAuthenticatedError
        wait = rates.take(who.name, now_ms())
        if wait:
            raise ProblemError(429, "throttled", "Too many requests.", retry_after=math.ceil(wait))
        return who

    def serve(route: Route) -> Callable[..., Response[str]]:
        def served(**path: str) -> Response[str]:
            who, event = principal(), app.current_event
            if route.access == "member" and who.grant:
                raise ForbiddenError("A share link can only read its job.")
            # API Gateway joins repeated parameters by commas. `label` may be repeated, and its values contain commas.
            query = event.query_string_parameters or {}
            labels = [value for name, value in parse_qsl(event.raw_query_string) if name == "label"]
            body = _body(event.body) if route.body is not None else None
            origin = event.headers.get("origin")
            answer = route.call(service, Request(who, path, query, labels, body, origin))
            return _page(path["job"], answer) if isinstance(answer, ExportPage) else _json(answer, route.status)

        return served

    for route in ROUTES:
        app.route(route.path, route.method)(serve(route))

    @app.exception_handler(ProblemError)  # type: ignore[untyped-decorator]
    def problem(error: ProblemError) -> Response[str]:
        return response(error)

    @app.exception_handler(ParameterError)  # type: ignore[untyped-decorator]
    def bad_parameter(error: ParameterError) -> Response[str]:
        return response(BadRequestError(str(error)))

    @app.exception_handler(NotAuthenticatedError)  # type: ignore[untyped-decorator]
    def answer_unauthenticated(_error: NotAuthenticatedError) -> Response[str]:
        return response(ProblemError(401, "unauthorized", "Not signed in."))

    @app.not_found
    def no_route(_error: Exception) -> Response[str]:
        methods = sorted(route.method for route in ROUTES if route.at(app.current_event.path))
        if methods:
            return response(NotAllowedError(methods))
        return response(NotFoundError("This address does not exist."))

    return app


def _body(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not JSON.") from None


def _json(document: Mapping[str, Any], status: int = 200) -> Response[str]:
    headers: dict[str, str | list[str]] = dict(NEVER_CACHED)
    return Response(status, "application/json", to_json(document), headers=headers)


def _page(job: str, page: ExportPage) -> Response[str]:
    headers: dict[str, str | list[str]] = dict(NEVER_CACHED)
    if page.resume is not None:
        headers["Link"] = f'</api/jobs/{job}/export?format={page.format}&after={page.resume}>; rel="next"'
        headers["Logferry-Next"] = str(page.resume)
    return Response(200, CONTENT_TYPES[page.format], page.text, headers=headers)
