"""Reads an agent's request part by part, so that a malformed part does not cost the other jobs anything.

An agent that gets `malformed` for a whole request opens none of its jobs, or sends its envelope again for ever.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic_core
from pydantic import BaseModel, TypeAdapter, ValidationError

from logferry_protocol.errors import MalformedMessageError, RejectReason, first_error
from logferry_protocol.job import CONTAINER_PATTERN
from logferry_protocol.limits import MAX_ENVELOPE_BATCHES, MAX_FRAME_BYTES, MAX_OPEN_JOBS, MAX_SEQUENCE, MAX_STATUS_JOBS
from logferry_protocol.messages import (
    FROM_AGENT,
    Batch,
    FromAgent,
    Ingest,
    InstanceId,
    Open,
    OpenJob,
    RequestId,
    Status,
    StatusJob,
    decode,
)

_CONTAINER: Final = re.compile(CONTAINER_PATTERN)
_REQUEST_ID: Final[TypeAdapter[str]] = TypeAdapter(RequestId)
_INSTANCE_ID: Final[TypeAdapter[str]] = TypeAdapter(InstanceId)


@dataclass(frozen=True, slots=True)
class MalformedPart:
    """A refused part of a request, with what its answer needs to name it."""

    job: str
    first: int
    """The batch's first sequence; 0 for a job of `open` or `status`."""
    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """An agent's message, and the parts of it that are refused."""

    message: FromAgent
    malformed: list[MalformedPart] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Kind:
    message: type[Open | Status | Ingest]
    parts: str
    """The field with the parts."""
    part: type[BaseModel]
    most: int


_KINDS: Final = {
    "open": _Kind(Open, "jobs", OpenJob, MAX_OPEN_JOBS),
    "status": _Kind(Status, "jobs", StatusJob, MAX_STATUS_JOBS),
    "ingest": _Kind(Ingest, "batches", Batch, MAX_ENVELOPE_BATCHES),
}


class _NotByPartsError(Exception):
    """The whole request is malformed."""


def parse_request(raw: str) -> ParsedRequest:
    """Return an agent's request. Parts that are malformed but say which job and batch they are get refused alone.

    Raises:
        MalformedMessageError: the request itself is malformed, or a malformed part does not say which one it is.
    """
    try:
        return ParsedRequest(decode(raw, FROM_AGENT))
    except MalformedMessageError as error:
        try:
            return _parse_by_parts(raw)
        except _NotByPartsError:
            raise error from None


def _parse_by_parts(raw: str) -> ParsedRequest:
    kind, document = _envelope(raw)
    parts: list[Any] = document[kind.parts]
    good: list[BaseModel] = []
    malformed: list[MalformedPart] = []
    for part in parts:
        try:
            good.append(kind.part.model_validate(part))
        except ValidationError as error:
            malformed.append(_malformed_part(kind, part, error))
    if kind.message is Ingest and len({part["job"] for part in parts}) != len(parts):
        raise _NotByPartsError
    if not malformed or (kind.message is Status and not good):
        raise _NotByPartsError  # the request itself is malformed, or no part of it is left
    fields: dict[str, Any] = {name: document[name] for name in ("id", "instance") if name in kind.message.model_fields}
    fields[kind.parts] = good
    return ParsedRequest(kind.message.model_construct(**fields), malformed)


def _envelope(raw: str) -> tuple[_Kind, dict[str, Any]]:
    """Return a request whose own fields are valid, whatever its parts are."""
    if len(raw) > MAX_FRAME_BYTES:
        raise _NotByPartsError
    try:
        document = pydantic_core.from_json(raw)
        kind = _KINDS[document["type"]]
        parts = document[kind.parts]
        _REQUEST_ID.validate_python(document["id"])
        if kind.parts == "jobs":
            _INSTANCE_ID.validate_python(document["instance"])
    except (ValueError, TypeError, KeyError):  # a ValidationError is a ValueError
        raise _NotByPartsError from None
    if not isinstance(parts, list) or not 1 <= len(parts) <= kind.most:
        raise _NotByPartsError
    return kind, document


def _malformed_part(kind: _Kind, part: Any, error: ValidationError) -> MalformedPart:
    """Return how a part is refused, if it says which job and batch it is."""
    job, first = (part.get("job"), part.get("first")) if isinstance(part, dict) else (None, None)
    if not isinstance(job, str) or not _CONTAINER.fullmatch(job):
        raise _NotByPartsError
    if kind.message is not Ingest:
        first = 0
    elif type(first) is not int or not 1 <= first <= MAX_SEQUENCE:
        raise _NotByPartsError
    location = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
    reason: RejectReason = "time_out_of_range" if location and location[0] in {"start", "end"} else "malformed"
    return MalformedPart(job, first, reason, first_error(error))
