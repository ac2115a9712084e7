"""The messages of the two WebSocket APIs: frozen models, one `encode`, one `decode`. PROTOCOL.md describes each.

Agents name a job by its container id alone. The server prefixes the authenticated principal, so an agent cannot name
another's job. Viewers use whole job ids.
"""

import base64
import binascii
import json
import re
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from .errors import ErrorCode, FrameTooLargeError, MalformedMessageError, RejectReason, first_error
from .integers import Count, Duration, FirstSequence, Microseconds, Sequence
from .job import Container, ContainerId, JobId, JobRecord, LifeCycle, Owner
from .limits import (
    MAX_BATCH_ENTRIES,
    MAX_BODY_BYTES,
    MAX_CURSOR_BYTES,
    MAX_DECODED_BYTES,
    MAX_ENVELOPE_BATCHES,
    MAX_FRAME_BYTES,
    MAX_ID_CHARS,
    MAX_IMAGE_CHARS,
    MAX_LABEL_KEY_CHARS,
    MAX_LABEL_VALUE_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_OPEN_JOBS,
    MAX_RESULT_CHARS,
    MAX_SEQUENCE,
    MAX_STATUS_JOBS,
    MAX_SUBSCRIPTIONS,
)

VERSION: Final = "1"
"""The version of the wire. A connection names it in its query (`?v=1`)."""


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > MAX_BODY_BYTES * 4 // 3 + 4:
        raise ValueError(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"the body is not base64: {error}") from None


Body = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda body: base64.b64encode(body).decode(), return_type=str, when_used="json"),
    Field(min_length=1, max_length=MAX_BODY_BYTES),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[\x21-\x7e]+$")]
Cursor = Annotated[str, StringConstraints(max_length=MAX_CURSOR_BYTES, pattern=r"^[\x20\x21\x23-\x5b\x5d-\x7e]*$")]
"""Printable ASCII without quote and backslash, so that JSON adds no bytes to it."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sentence = Annotated[str, StringConstraints(max_length=MAX_MESSAGE_CHARS)]
InstanceId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9:_-]+$")]


class _Wire(BaseModel):
    """Unknown fields are ignored, so that a newer peer can send more."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", defer_build=True)


# --- what both APIs share -------------------------------------------------------------------------------------------


class BatchFacts(_Wire):
    """What is known of a batch without decompressing it."""

    first: FirstSequence
    """The sequence of its first entry."""
    count: Annotated[int, Field(ge=1, le=MAX_BATCH_ENTRIES)]
    start: Microseconds
    """The earliest time of its entries."""
    end: Microseconds
    """The latest time of its entries."""
    raw: Annotated[int, Field(ge=0, le=MAX_DECODED_BYTES)]
    """UTF-8 bytes of its texts."""
    digest: Digest
    """SHA-256 of the compressed body."""
    body: Body

    @property
    def last(self) -> int:
        """The sequence of its last entry."""
        return self.first + self.count - 1

    @model_validator(mode="after")
    def _in_order(self) -> "BatchFacts":
        if self.end < self.start:
            raise ValueError("end is before start")
        if self.last > MAX_SEQUENCE:
            raise ValueError(f"the last sequence is over {MAX_SEQUENCE}")
        return self


class Error(_Wire):
    """The request could not be served. It has no `id` if the request's could not be read."""

    type: Literal["error"] = "error"
    id: RequestId | None = None
    code: ErrorCode
    message: Sentence
    retry: bool = False


class Ping(_Wire):
    """Prevents the idle limit of the connection, and asks for a viewer's tips."""

    type: Literal["ping"] = "ping"
    id: RequestId


# --- agents' API: agent → cloud -------------------------------------------------------------------------------------


class OpenJob(_Wire):
    """A job that the agent means to write."""

    job: ContainerId
    container: Container
    life: LifeCycle


class Open(_Wire):
    """Announces jobs, and asks for the cloud's tip of each."""

    type: Literal["open"] = "open"
    id: RequestId
    instance: InstanceId
    """The Docker Engine's id."""
    jobs: Annotated[list[OpenJob], Field(min_length=1, max_length=MAX_OPEN_JOBS)]


class Batch(BatchFacts):
    """A batch, as an agent sends it."""

    job: ContainerId
    cursor: Cursor


class Ingest(_Wire):
    """An envelope: batches of different jobs, at most one each."""

    type: Literal["ingest"] = "ingest"
    id: RequestId
    batches: Annotated[list[Batch], Field(min_length=1, max_length=MAX_ENVELOPE_BATCHES)]

    @model_validator(mode="after")
    def _one_a_job(self) -> "Ingest":
        if len({batch.job for batch in self.batches}) != len(self.batches):
            raise ValueError("an envelope has two batches of one job")
        return self


class StatusJob(_Wire):
    """How far a job is."""

    job: ContainerId
    life: LifeCycle
    tip: Sequence
    """The last acknowledged sequence."""
    bytes: Count = 0
    gaps: Count = 0
    last: Microseconds | None = None
    """The time of the last acknowledged entry."""


class Status(_Wire):
    """Changed jobs: on a change of state, else at most every five minutes of activity."""

    type: Literal["status"] = "status"
    id: RequestId
    instance: InstanceId
    jobs: Annotated[list[StatusJob], Field(min_length=1, max_length=MAX_STATUS_JOBS)]


# --- agents' API: cloud → agent -------------------------------------------------------------------------------------


class Watched(_Wire):
    """Somebody reads: send lines at once. Durations are in milliseconds, so that no clocks need to agree."""

    ttl: Duration
    """How long this is valid."""
    interval: Duration
    """The least time between two batches. It grows with the number of viewers."""


class OpenedJob(_Wire):
    """The cloud's tip of a job; or, with an `error`, why it cannot be written."""

    job: ContainerId
    tip: Sequence = 0
    digest: Digest | None = None
    """The digest of the batch that ends at the tip, while it is kept."""
    first: FirstSequence | None = None
    """The first sequence of that batch."""
    cursor: Cursor | None = None
    """The cursor of that batch."""
    watched: Watched | None = None
    error: ErrorCode | None = None
    message: Sentence = ""
    retry: bool = False


class Opened(_Wire):
    """Answers `open`."""

    type: Literal["opened"] = "opened"
    id: RequestId
    jobs: list[OpenedJob]


class Result(_Wire):
    """What happened to one batch."""

    job: ContainerId
    first: FirstSequence
    outcome: Literal["stored", "duplicate", "conflict", "rejected"]
    tip: Sequence | None = None
    """The job's tip, where it is known."""
    reason: RejectReason | None = None
    message: Sentence = ""
    retry: bool = False


class Ingested(_Wire):
    """Answers `ingest`: one result for each batch, in any order."""

    type: Literal["ingested"] = "ingested"
    id: RequestId
    results: list[Result]
    slow_down: Duration | None = None
    """How long to wait before the next envelope, in milliseconds."""


class Noted(_Wire):
    """Answers `status`."""

    type: Literal["noted"] = "noted"
    id: RequestId


class Pong(_Wire):
    """Answers an agent's `ping`."""

    type: Literal["pong"] = "pong"
    id: RequestId


class Watch(Watched):
    """Somebody reads a job now, or still does."""

    type: Literal["watch"] = "watch"
    job: ContainerId


# --- viewers' API: viewer → cloud -----------------------------------------------------------------------------------


class Selector(_Wire):
    """Which jobs a live list holds. All fields that are set must match; without any, it is every readable job."""

    owner: Owner | None = None
    host: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] | None = None
    name: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] | None = None
    image: Annotated[str, StringConstraints(max_length=MAX_IMAGE_CHARS)] | None = None
    label: Annotated[str, StringConstraints(max_length=MAX_LABEL_KEY_CHARS + 1 + MAX_LABEL_VALUE_CHARS)] | None = None
    """`key` or `key=value`."""


class Subscribe(_Wire):
    """Asks for a job's new batches, or for the changes of a list of jobs: exactly one of `job` and `jobs`."""

    type: Literal["subscribe"] = "subscribe"
    id: RequestId
    job: JobId | None = None
    after: Sequence = 0
    """The last sequence that the viewer has."""
    jobs: Selector | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Subscribe":
        if (self.job is None) == (self.jobs is None):
            raise ValueError("give exactly one of job and jobs")
        return self


class Unsubscribe(_Wire):
    """Ends the subscription to a job or, without `job`, to the list."""

    type: Literal["unsubscribe"] = "unsubscribe"
    id: RequestId
    job: JobId | None = None


# --- viewers' API: cloud → viewer -----------------------------------------------------------------------------------


class Subscribed(_Wire):
    """Answers `subscribe`. Every batch after `tip` will be broadcast; history has those up to it."""

    type: Literal["subscribed"] = "subscribed"
    id: RequestId
    job: JobId | None = None
    tip: Sequence | None = None
    record: JobRecord | None = None


class Unsubscribed(_Wire):
    """Answers `unsubscribe`."""

    type: Literal["unsubscribed"] = "unsubscribed"
    id: RequestId


class BatchMessage(_Wire):
    """New batches of a job, in any order and possibly repeated. Their sequences order them."""

    type: Literal["batch"] = "batch"
    job: JobId
    batches: Annotated[list[BatchFacts], Field(min_length=1)]


class JobMessage(_Wire):
    """A job of a subscribed list appeared or changed. `deleted` says that it is gone."""

    type: Literal["job"] = "job"
    record: JobRecord
    deleted: bool = False


class ViewerPong(_Wire):
    """Answers a viewer's `ping` with the tips of its jobs, so that the loss of a last broadcast is noticed."""

    type: Literal["pong"] = "pong"
    id: RequestId
    tips: Annotated[dict[str, Sequence], Field(max_length=MAX_SUBSCRIPTIONS)] = Field(default_factory=dict)


class Expired(_Wire):
    """A subscription or, without `job`, the connection ended: its credential or share expired or was revoked."""

    type: Literal["expired"] = "expired"
    job: JobId | None = None
    message: Sentence = ""


# --- families, encode and decode ------------------------------------------------------------------------------------

FromAgent = Annotated[Open | Ingest | Status | Ping, Field(discriminator="type")]
ToAgent = Annotated[Opened | Ingested | Noted | Pong | Watch | Error, Field(discriminator="type")]
FromViewer = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
ToViewer = Annotated[
    Subscribed | Unsubscribed | BatchMessage | JobMessage | ViewerPong | Expired | Error, Field(discriminator="type")
]

_DEFERRED: Final = ConfigDict(defer_build=True)

FROM_AGENT: Final[TypeAdapter[FromAgent]] = TypeAdapter(FromAgent, config=_DEFERRED)
TO_AGENT: Final[TypeAdapter[ToAgent]] = TypeAdapter(ToAgent, config=_DEFERRED)
FROM_VIEWER: Final[TypeAdapter[FromViewer]] = TypeAdapter(FromViewer, config=_DEFERRED)
TO_VIEWER: Final[TypeAdapter[ToViewer]] = TypeAdapter(ToViewer, config=_DEFERRED)

FAMILIES: Final[dict[str, TypeAdapter[Any]]] = {
    "from_agent": FROM_AGENT,
    "to_agent": TO_AGENT,
    "from_viewer": FROM_VIEWER,
    "to_viewer": TO_VIEWER,
}

T = TypeVar("T")


def encode(message: BaseModel) -> str:
    """Return a message as the text of one frame.

    Raises:
        FrameTooLargeError: the message does not fit. That is a bug of the caller, which chooses how much to pack.
    """
    text = message.model_dump_json(exclude_none=True)
    size = len(text.encode())
    if size > MAX_FRAME_BYTES:
        raise FrameTooLargeError(type(message).__name__, size, MAX_FRAME_BYTES)
    return text


def decode(raw: str | bytes, family: TypeAdapter[T]) -> T:
    """Return one message of a family (`FROM_AGENT`, `TO_AGENT`, `FROM_VIEWER`, `TO_VIEWER`).

    Raises:
        MalformedMessageError: it is too large, not JSON, of an unknown type, or has a field that does not fit.
    """
    if len(raw) > MAX_FRAME_BYTES:
        raise MalformedMessageError(f"the message has more than {MAX_FRAME_BYTES} bytes")
    try:
        return family.validate_json(raw)
    except ValidationError as error:
        raise MalformedMessageError(first_error(error)[:MAX_MESSAGE_CHARS], _request_id(raw)) from None


_NOT_PLAIN: Final = re.compile(r"[^ !#-\[\]-~]")


def short_sentence(text: str) -> str:
    """Return a sentence about one job or batch: short, and of characters that take one byte each."""
    return _NOT_PLAIN.sub("?", text[:MAX_RESULT_CHARS])


def _request_id(raw: str | bytes) -> str | None:
    """Return the id of a message that cannot be read otherwise, so that its sender can match the error to it."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    found = document.get("id") if isinstance(document, dict) else None
    if not isinstance(found, str) or not 1 <= len(found) <= MAX_ID_CHARS:
        return None
    return found if all("\x21" <= character <= "\x7e" for character in found) else None
