"""Run schemathesis on the HTTP API's own document: its checks, and its transport to the functions in this process."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any, cast

import schemathesis
from schemathesis import BaseSchema, Case, CheckFunction, Response
from schemathesis.checks import CHECKS as BUILT_IN
from schemathesis.checks import load_all_checks
from tests.support.cloud import Cloud

from query.routes import openapi

load_all_checks()

NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


def schema(*, coverage: bool = True) -> BaseSchema:
    """Return the API's document without its security: all requests have a valid key, as the matrix tests rights.

    `coverage`: each boundary of each parameter too, some hundreds of requests.
    """
    made = schemathesis.openapi.from_dict({**openapi(), "security": []})
    made.config.phases.coverage.enabled = coverage
    return made


def checks_for(case: Case[Any]) -> list[CheckFunction]:
    """Return all checks; but a query parameter unknown to the document is ignored, which is no fault."""
    declared = {one.name for one in case.operation.query}
    stray = bool(set(case.query or {}) - declared)
    return [
        cast(CheckFunction, BUILT_IN.get_one(name))
        for name in NAMES
        if not (stray and name == "negative_data_rejection")
    ]


def target_existing_job(case: Case[Any], job: str) -> None:
    """Direct every second case to an existing job, except deletions: otherwise nearly all would end at 404."""
    if (
        "job" in case.path_parameters
        and case.method != "DELETE"
        and zlib.crc32(repr((case.query, case.body)).encode("utf-8", "replace")) % 2
    ):
        case.path_parameters["job"] = job


def assert_refused_without_stack_trace(answer: Response) -> None:
    """Check that no exception's text is in an answer."""
    assert "Traceback" not in answer.text
    if answer.status_code >= 400 and answer.headers.get("content-type") == ["application/problem+json"]:
        assert answer.json()["status"] == answer.status_code
        assert "Error" not in answer.json()["detail"]


def wsgi(cloud: Cloud, key: str) -> Callable[..., Iterable[bytes]]:
    """Return the HTTP API of a cloud in this process as a WSGI application, for the owner of a key."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size).decode("utf-8", errors="replace") if size else None
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        headers.pop("authorization", None)
        query = environ.get("QUERY_STRING", "")
        path = environ.get("REQUEST_URI") or environ["RAW_URI"]
        path = path.partition("?")[0] + (f"?{query}" if query else "")
        answer = cloud.http(environ["REQUEST_METHOD"], path, key, body=body, headers=headers)
        start_response(f"{answer.status} .", list(answer.headers.items()))
        return [answer.body.encode()]

    return application
