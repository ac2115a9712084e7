"""The integers of the wire. Each has a least and a greatest value, which JavaScript's numbers hold exactly.

What the sender counts itself (sequences, sizes, times of entries) is refused beyond its bounds, because it is wrong.
What the sender passes on, an engine's numbers above all, is moved to the nearer bound. An odd exit code must not cost a
log.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from .limits import (
    MAX_COUNT,
    MAX_DURATION_MS,
    MAX_EXIT_CODE,
    MAX_RESTARTS,
    MAX_SEQUENCE,
    MAX_TIME_MS,
    MAX_TIME_US,
    MIN_EXIT_CODE,
    MIN_TIME_US,
)


def clamped(least: int, most: int) -> BeforeValidator:
    """Return a validator that moves a number beyond its bounds to the nearer bound, and leaves all else as it is."""

    def clamp(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return least if value < least else most if value > most else value
        return value

    return BeforeValidator(clamp)


Sequence = Annotated[int, Field(ge=0, le=MAX_SEQUENCE)]
FirstSequence = Annotated[int, Field(ge=1, le=MAX_SEQUENCE)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Microseconds = Annotated[int, Field(ge=MIN_TIME_US, le=MAX_TIME_US)]
"""The time of an entry, in microseconds since 1970."""
Duration = Annotated[int, Field(ge=0, le=MAX_DURATION_MS)]
"""How long to wait, or how long a message is valid, in milliseconds."""

ToldCount = Annotated[int, Field(ge=0, le=MAX_COUNT), clamped(0, MAX_COUNT)]
ToldMicroseconds = Annotated[int, Field(ge=MIN_TIME_US, le=MAX_TIME_US), clamped(MIN_TIME_US, MAX_TIME_US)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_TIME_MS), clamped(0, MAX_TIME_MS)]
"""A time of a container's life, in milliseconds since 1970."""
ExitCode = Annotated[int, Field(ge=MIN_EXIT_CODE, le=MAX_EXIT_CODE), clamped(MIN_EXIT_CODE, MAX_EXIT_CODE)]
Restarts = Annotated[int, Field(ge=0, le=MAX_RESTARTS), clamped(0, MAX_RESTARTS)]
