"""Errors of the HTTP API as RFC 9457 problem documents (https://www.rfc-editor.org/rfc/rfc9457)."""

import json
from collections.abc import Mapping, Sequence

from aws_lambda_powertools.event_handler import Response


class ProblemError(Exception):
    """A request that cannot be served. `detail` is for the person who made it."""

    def __init__(self, status: int, code: str, detail: str, **more: object) -> None:
        super().__init__(status, code, detail)
        self.status, self.code, self.detail, self.more = status, code, detail, more

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail}"


class BadRequestError(ProblemError):
    """A parameter or a body has a wrong value."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, "bad_request", detail)


class NotFoundError(ProblemError):
    """The resource does not exist, or the caller may not know of it. The answer does not tell the two apart."""

    def __init__(self, detail: str = "There is no such job, or you may not read it.") -> None:
        super().__init__(404, "not_found", detail)


class NotAllowedError(ProblemError):
    """The address exists, but does not accept this method."""

    def __init__(self, methods: Sequence[str]) -> None:
        super().__init__(405, "method_not_allowed", f"This address accepts only {' and '.join(methods)}.")
        self.methods = methods


class ForbiddenError(ProblemError):
    """The caller may know of the resource, but not do this."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, "forbidden", detail)


TITLES: Mapping[int, str] = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


def response(problem: ProblemError) -> Response[str]:
    """Return a problem as an HTTP response."""
    document = {
        "type": f"urn:logferry:problem:{problem.code}",
        "title": TITLES.get(problem.status, "Problem"),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.more,
    }
    headers: dict[str, str | list[str]] = {"Cache-Control": "no-store"}
    if "retry_after" in problem.more:
        headers["Retry-After"] = str(problem.more["retry_after"])
    if isinstance(problem, NotAllowedError):
        headers["Allow"] = ", ".join(problem.methods)
    return Response(problem.status, "application/problem+json", json.dumps(document), headers=headers)
