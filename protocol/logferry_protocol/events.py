"""System events: the entries of the stream `system`. Their text is one of these models as JSON."""

from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from .event_sentences import GapReason, sentence
from .integers import ExitCode, Restarts, ToldCount, ToldMicroseconds
from .limits import MAX_MESSAGE_CHARS

_Sentence = Annotated[str, StringConstraints(max_length=MAX_MESSAGE_CHARS)]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


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
    """Entries that will never arrive. Times are in microseconds; `count` counts entries, where it can be known."""

    event: Literal["gap"] = "gap"
    reason: GapReason
    start: ToldMicroseconds | None = None
    end: ToldMicroseconds | None = None
    count: ToldCount | None = None
    bytes: ToldCount | None = None
    detail: _Sentence = ""


class Notice(_Event):
    """Something that a reader of the job should know. `code` is for programs, `detail` for people."""

    event: Literal["notice"] = "notice"
    code: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]
    detail: _Sentence = ""


SystemEvent = Annotated[Started | Restarted | Exited | Gap | Notice, Field(discriminator="event")]
EVENT_MODELS: Final[tuple[type[BaseModel], ...]] = get_args(get_args(SystemEvent)[0])
"""The models of all events, in the order of the union."""

_ADAPTER: TypeAdapter[SystemEvent] = TypeAdapter(SystemEvent, config=ConfigDict(defer_build=True))


def encode_event(event: SystemEvent) -> str:
    """Return the text of a system entry."""
    return event.model_dump_json(exclude_none=True)


def decode_event(text: str) -> SystemEvent:
    """Return the event of a system entry. A text that is not an event, or a later version's, becomes a `Notice`."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError:
        return Notice(code="unknown", detail=text[:MAX_MESSAGE_CHARS])


def describe(event: SystemEvent) -> str:
    """Return the sentence that readers show for an event (see `event_sentences`)."""
    return sentence(event.event, event.model_dump())


__all__ = [
    "EVENT_MODELS",
    "Exited",
    "Gap",
    "GapReason",
    "Notice",
    "Restarted",
    "Started",
    "SystemEvent",
    "decode_event",
    "describe",
    "encode_event",
]
