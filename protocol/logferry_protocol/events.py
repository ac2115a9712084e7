"""System events: what an entry of the stream `system` says. Its text is one of these as JSON."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from .integers import ExitCode, Restarts, ToldCount, ToldMicroseconds
from .limits import MAX_MESSAGE_CHARS

GapReason = Literal[
    "rotated",
    "removed",
    "truncated",
    "corrupt",
    "engine",
    "spool_full",
    "spool_lost",
    "rejected",
    "quota",
    "rate_limit",
    "conflict",
]
"""Why entries are missing.

- `rotated`: the engine rotated them away
- `removed`: the container was removed before they were read
- `truncated`: the log file was cut
- `corrupt`: the log file or the stream could not be understood
- `engine`: the engine said that it skipped them
- `spool_full`: dropped by policy
- `spool_lost`: the agent's disk lost them
- `rejected`: the cloud refused them for good
- `quota`: the principal's quota was used up
- `rate_limit`: the container wrote more than it was allowed
- `conflict`: another writer had stored something else
"""

_Sentence = Annotated[str, StringConstraints(max_length=MAX_MESSAGE_CHARS)]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Started(_Event):
    """The container's first run began."""

    event: Literal["started"] = "started"


class Restarted(_Event):
    """The container runs again; `restarts` counts its runs after the first."""

    event: Literal["restarted"] = "restarted"
    restarts: Restarts = 0


class Exited(_Event):
    """A run ended."""

    event: Literal["exited"] = "exited"
    exit_code: ExitCode | None = None
    oom: bool = False
    removed: bool = False
    """The container was removed with it, so that the exit code may be unknown."""


class Gap(_Event):
    """Entries that will never come. Times in microseconds; `count` in entries, where it can be known."""

    event: Literal["gap"] = "gap"
    reason: GapReason
    start: ToldMicroseconds | None = None
    end: ToldMicroseconds | None = None
    count: ToldCount | None = None
    bytes: ToldCount | None = None
    detail: _Sentence = ""


class Notice(_Event):
    """Something that a reader of the job should know; `code` is for programs, `detail` for people."""

    event: Literal["notice"] = "notice"
    code: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]
    detail: _Sentence = ""


SystemEvent = Annotated[Started | Restarted | Exited | Gap | Notice, Field(discriminator="event")]
_ADAPTER: TypeAdapter[SystemEvent] = TypeAdapter(SystemEvent)


def encode_event(event: SystemEvent) -> str:
    """The text of a system entry."""
    return event.model_dump_json(exclude_none=True)


def decode_event(text: str) -> SystemEvent:
    """The event of a system entry; a text that is not one (of a later version, say) becomes a `Notice`."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError:
        return Notice(code="unknown", detail=text[:MAX_MESSAGE_CHARS])


def describe(event: SystemEvent) -> str:
    """The event as a sentence for a person."""
    match event:
        case Started():
            return "container started"
        case Restarted():
            return f"container restarted (restart {event.restarts})" if event.restarts else "container restarted"
        case Exited():
            code = "" if event.exit_code is None else f" with code {event.exit_code}"
            why = ", out of memory" if event.oom else ""
            return f"container exited{code}{why}" + (", removed" if event.removed else "")
        case Gap():
            many = "lines" if event.count is None else "1 line" if event.count == 1 else f"{event.count:,} lines"
            return f"{many} missing: {event.reason.replace('_', ' ')}" + (f" ({event.detail})" if event.detail else "")
        case Notice():
            return event.detail or event.code.replace("_", " ")
