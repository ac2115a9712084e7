"""The HTTP API's routes as data. The resolver, the OpenAPI document and the access tests are made from this table.

Every path begins with /api, because CloudFront and the local viewer server pass paths on unchanged.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from logferry_protocol.job import JobRecord
from logferry_protocol.limits import MAX_SEQUENCE, MAX_TIME_MS
from registry.principal import Principal

from .core import FILTER_CHARS, LABEL_CHARS
from .export import CONTENT_TYPES, ExportPage
from .service import Service

Access = Literal["signed_in", "member", "reader", "manager"]
"""Who may call a route: anyone signed in; anyone but a share; who may read the job; the job's owners and admins."""

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What a route gets."""

    principal: Principal
    path: Mapping[str, str]
    query: Mapping[str, str]
    labels: Sequence[str]
    body: Any
    origin: str | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query string."""

    name: str
    description: str
    schema: Schema
    required: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    method: str
    path: str
    name: str
    summary: str
    access: Access
    call: Callable[[Service, Request], Any]
    answer: Schema
    status: int = 200
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None
    text: Sequence[str] = field(default=())
    """The content types of an answer that is not JSON."""

    def at(self, path: str) -> bool:
        """Return whether a path is this route's, whatever the method."""
        # recheck: built from the routes below, whose parts are separated by slashes, and from nothing in a request
        return re.fullmatch(re.sub("<[a-z]+>", "[^/]+", self.path), path) is not None


def _text(most: int = 512) -> Schema:
    return {"type": "string", "maxLength": most}


def _number(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _object(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required or properties)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_STRING: Final[Schema] = {"type": "string"}
_INTEGER: Final = _number(0, MAX_SEQUENCE)
_SEQUENCE: Final = _number(0, MAX_SEQUENCE)
_FLAG: Final[Schema] = {"type": "string", "enum": ["0", "1"]}
_RECORD: Final[Schema] = {"$ref": "#/components/schemas/JobRecord"}
_BATCH: Final = _object(
    first=_INTEGER, count=_INTEGER, start=_INTEGER, end=_INTEGER, raw=_INTEGER, digest=_STRING,
    body={"type": "string", "contentEncoding": "base64", "description": "zstd; PROTOCOL.md describes the content"},
)  # fmt: skip
_ENTRY: Final = _object(
    sequence={
        **_INTEGER,
        "description": "The entry in which the match begins; for a line of context, its first entry.",
    },
    line={**_INTEGER, "description": "The first entry of the line. A long line has several entries."},
    time={**_INTEGER, "description": "When the line began, in microseconds since 1970."},
    stream=_STRING,
    text={**_STRING, "description": "The line, with its entries joined."},
    cut={
        "type": "boolean",
        "description": "Whether the line is longer than `text`, which then is the part around the match.",
    },
)
_MATCH: Final = _object(**_ENTRY["properties"], before=_list(_ENTRY), after=_list(_ENTRY))
_SHARE_FACTS: Final[Schema] = {
    "share": _STRING, "job": _STRING, "principal": _STRING, "note": _STRING,
    "created": _INTEGER, "expires": _INTEGER, "revoked": _or_null(_INTEGER),
}  # fmt: skip
_SHARE: Final = _object(**_SHARE_FACTS)
_AUDIT: Final = _object("at", "did", "principal", at=_INTEGER, did=_STRING, principal=_STRING, share=_STRING)

_AFTER: Final = Parameter("after", "Return entries after this sequence.", _SEQUENCE)
_NEXT: Final = Parameter("next", "Where the list continues: `next` of the page before.", _text(200))

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET", "/api/me", "me", "Return who is signed in.", "signed_in",
        lambda service, request: service.me(request.principal),
        _object(
            principal=_STRING, subject=_STRING, groups=_list(_STRING), admin={"type": "boolean"},
            job=_or_null(_STRING),
            groups_left_out={**_INTEGER, "description": "Groups too many to be carried: their jobs cannot be read."},
        ),
    ),
    Route(
        "GET", "/api/jobs", "listJobs", "List the jobs that the caller may read, the newest first, with current tips.",
        "signed_in",
        lambda service, request: service.jobs(request.principal, request.query, request.labels),
        _object(jobs=_list(_RECORD), next=_or_null(_STRING)),
        parameters=(
            Parameter("owner", "Only jobs of this owner.", _text(FILTER_CHARS["owner"])),
            Parameter("host", "Only jobs on this host.", _text(FILTER_CHARS["host"])),
            Parameter("name", "Only jobs of containers with this name.", _text(FILTER_CHARS["name"])),
            Parameter("image", "Only jobs of containers with this image.", _text(FILTER_CHARS["image"])),
            Parameter(
                "label", "Only jobs with this label: key or key=value. May be repeated.", _text(LABEL_CHARS), many=True
            ),
            Parameter("container", "Only containers whose id begins with this.", _text(FILTER_CHARS["container"])),
            Parameter("state", "Only jobs in this state.", _text(FILTER_CHARS["state"])),
            Parameter("after", "Only jobs heard of since this time (milliseconds).", _number(0, MAX_TIME_MS)),
            Parameter("before", "Only jobs created before this time (milliseconds).", _number(0, MAX_TIME_MS)),
            Parameter("limit", "Jobs in a page.", _number(1, 500)),
            _NEXT,
        ),
    ),
    Route(
        "GET", "/api/jobs/<job>", "getJob", "Return a job's record.", "reader",
        lambda service, request: service.job(request.principal, request.path["job"]),
        _RECORD,
    ),
    Route(
        "DELETE", "/api/jobs/<job>", "deleteJob", "Delete a job and everything stored of it.", "manager",
        lambda service, request: service.delete(request.principal, request.path["job"]),
        _object(job=_STRING, deleted=_INTEGER),
        status=202,
    ),
    Route(
        "GET", "/api/jobs/<job>/batches", "getBatches",
        "Return the batches after a sequence, or the last ones before one, ascending.", "reader",
        lambda service, request: service.batches(request.principal, request.path["job"], request.query),
        _object(
            tip=_INTEGER, batches=_list(_BATCH), more={"type": "boolean"},
            kept={
                **_or_null(_INTEGER),
                "description": "The first sequence that is kept, if retention deleted a part of what was asked for.",
            },
        ),
        parameters=(
            _AFTER,
            Parameter("before", "Return the last entries before this sequence.", _number(1, MAX_SEQUENCE)),
            Parameter("limit", "Batches in a page.", _number(1, 500)),
        ),
    ),
    Route(
        "GET", "/api/jobs/<job>/at", "getSequenceAt", "Return the first sequence at a time or later.", "reader",
        lambda service, request: service.sequence_at(request.principal, request.path["job"], request.query),
        _object(sequence=_INTEGER, tip=_INTEGER),
        parameters=(Parameter("time", "Microseconds since 1970, or RFC 3339.", _text(40), required=True),),
    ),
    Route(
        "GET", "/api/jobs/<job>/search", "search", "Find lines that contain a text or match an expression.", "reader",
        lambda service, request: service.search(request.principal, request.path["job"], request.query),
        _object(
            tip=_INTEGER, matches=_list(_MATCH),
            next={**_or_null(_INTEGER), "description": "Pass it as `after` to continue; null at the end."},
            since={**_or_null(_INTEGER), "description": "The time of the first searched entry, in microseconds."},
            searched={**_INTEGER, "description": "Bytes of text that were searched."},
            unsearched={
                **_list(_INTEGER),
                "description": "Where lines begin that have no match in the part that could be searched. The line is "
                "too long for this expression and the answer's time, or its batch cannot be read.",
            },
        ),
        parameters=(
            Parameter("q", "The text or expression to search for.", {**_text(), "minLength": 1}, required=True),
            Parameter("regex", "1: q is an RE2 expression.", _FLAG),
            Parameter("ignore_case", "1: ignore the difference between upper and lower case.", _FLAG),
            Parameter("after", "Search lines that begin after this sequence.", _SEQUENCE),
            Parameter("before", "Search lines that begin before this sequence.", _number(1, 2**53)),
            Parameter("limit", "Matches in a page.", _number(1, 1_000)),
            Parameter("context", "Lines around each match.", _number(0, 10)),
        ),
    ),
    Route(
        "GET", "/api/jobs/<job>/export", "export",
        "Export the log as text or JSON lines. The header Logferry-Next has `after` of the next page.", "reader",
        lambda service, request: service.export(request.principal, request.path["job"], request.query),
        _STRING,
        parameters=(
            Parameter("format", "The format.", {"type": "string", "enum": ["text", "jsonl"]}),
            _AFTER,
            Parameter("limit", "Approximate bytes in a page.", _number(1, 2_000_000)),
        ),
        text=tuple(CONTENT_TYPES.values()),
    ),
    Route(
        "GET", "/api/jobs/<job>/shares", "listShares", "List the share links of a job.", "manager",
        lambda service, request: service.list_shares(request.principal, request.path["job"]),
        _object(shares=_list(_SHARE)),
    ),
    Route(
        "POST", "/api/jobs/<job>/shares", "createShare", "Create a link that lets anyone read this job.", "manager",
        lambda service, request: service.create_share(request.principal, request.path["job"], request.body),
        _object(**_SHARE_FACTS, secret=_STRING),
        status=201,
        body={
            "type": "object",
            "properties": {
                "expires_in": {**_number(60, 7_776_000), "description": "Seconds until the link expires."},
                "note": _text(200),
            },
        },
    ),
    Route(
        "GET", "/api/jobs/<job>/audit", "audit", "List who read, shared or deleted a job.", "manager",
        lambda service, request: service.audit(request.principal, request.path["job"], request.query),
        _object(records=_list(_AUDIT), next=_or_null(_STRING)),
        parameters=(Parameter("limit", "Records in a page.", _number(1, 500)), _NEXT),
    ),
    Route(
        "DELETE", "/api/shares/<share>", "revokeShare", "Revoke a share link and close its connections.", "member",
        lambda service, request: service.revoke_share(request.principal, request.path["share"]),
        _SHARE,
    ),
    Route(
        "POST", "/api/tickets", "createTicket", "Create a ticket that opens one WebSocket within 30 s.", "signed_in",
        lambda service, request: service.create_ticket(request.principal, request.origin),
        _object(ticket=_STRING, expires=_INTEGER),
        status=201,
    ),
    Route(
        "GET", "/api/openapi.json", "openapi", "Return this document.", "signed_in",
        lambda _service, _request: openapi(),
        {"type": "object"},
    ),
)  # fmt: skip


def openapi() -> Schema:
    """Return the OpenAPI 3.1 document of the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path = route.path.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    record = JobRecord.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    definitions = record.pop("$defs", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Logferry", "version": "1", "description": "Jobs, history, export, share links and tickets."},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                **definitions,
                "JobRecord": record,
                "Problem": _object(
                    "type",
                    "title",
                    "status",
                    "detail",
                    "code",
                    type=_STRING,
                    title=_STRING,
                    status=_INTEGER,
                    detail=_STRING,
                    code=_STRING,
                ),
            },
        },
    }  # fmt: skip


def _operation(route: Route) -> Schema:
    parameters: list[Schema] = []
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("<")]
    parameters += [{"name": name, "in": "path", "required": True, "schema": _STRING} for name in names]
    for parameter in route.parameters:
        schema = _list(parameter.schema) if parameter.many else parameter.schema
        described = {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}
        parameters.append({**described, "required": parameter.required})
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refused = {"application/json": {"schema": _object(message=_STRING)}}
    content = {kind: {"schema": route.answer} for kind in route.text or ("application/json",)}
    operation: Schema = {
        "operationId": route.name,
        "summary": route.summary,
        "x-access": route.access,
        "parameters": parameters,
        "responses": {
            str(route.status): {"description": "The request succeeded.", "content": content},
            "400": {"description": "A parameter or the body has a wrong value.", "content": problem},
            "401": {"description": "The caller is not signed in.", "content": refused},
            "403": {"description": "The caller may not do this.", "content": {**problem, **refused}},
            "404": {
                "description": "The resource does not exist, or the caller may not know of it.",
                "content": problem,
            },
            "405": {"description": "This address accepts other methods; Allow lists them.", "content": problem},
            "429": {"description": "Too many requests; Retry-After says when the next is allowed.", "content": problem},
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": route.body}}}
    return operation


__all__ = ["ROUTES", "ExportPage", "Request", "Route", "openapi"]
