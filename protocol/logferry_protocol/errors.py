"""The errors of the wire.

    ProtocolError
    ├── LocalProtocolError      this side is wrong: a bug here, never sent
    │   ├── FrameTooLargeError      a message does not fit one frame
    │   └── BodyTooLargeError       a body to encode exceeds its compressed or decoded limit
    └── RemoteProtocolError     the other side is wrong: answered with `code`, and counted
        ├── MalformedMessageError   not JSON, an unknown type, or a field that does not fit the schema
        └── BatchError              one batch that cannot be stored; the others of its envelope can

`__init__` sets the fields, which metrics use, and `__str__` builds the sentence, which people read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

VALUE_ERROR: Final = "Value error, "
"""Pydantic puts this before the message of a validator. Only Python programmers know what it means."""

ErrorCode = Literal[
    "malformed",
    "unauthorized",
    "forbidden",
    "not_found",
    "expired",
    "too_many",
    "throttled",
    "internal",
]
"""The codes of an `error` message, and of a job in `opened`."""

RejectReason = Literal[
    "malformed",
    "too_large",
    "digest_mismatch",
    "count_mismatch",
    "time_out_of_range",
    "out_of_sequence",
    "deleted",
    "forbidden",
    "quota",
    "throttled",
    "internal",
]
"""Why a batch was not stored."""

RETRYABLE: Final[dict[str, bool]] = {
    "malformed": False,
    "too_large": False,
    "digest_mismatch": False,
    "count_mismatch": False,
    "time_out_of_range": False,
    "out_of_sequence": True,
    "deleted": False,
    "forbidden": False,
    "quota": False,
    "unauthorized": False,
    "not_found": False,
    "expired": False,
    "too_many": False,
    "throttled": True,
    "internal": True,
}
"""Whether sending the same again can succeed. After `out_of_sequence`, open the job first."""


class ProtocolError(Exception):
    """The base of every error of this package."""


class LocalProtocolError(ProtocolError):
    """The contract was broken on this side: a bug."""


class FrameTooLargeError(LocalProtocolError):
    """A message to send does not fit one frame."""

    def __init__(self, kind: str, size: int, max_size: int) -> None:
        super().__init__(kind, size, max_size)
        self.kind, self.size, self.max_size = kind, size, max_size

    def __str__(self) -> str:
        return f"a {self.kind} message of {self.size} bytes does not fit a frame of {self.max_size}"


class BodyTooLargeError(LocalProtocolError):
    """A batch to send does not fit its body. The caller splits it."""

    def __init__(self, what: str, size: int, max_size: int) -> None:
        super().__init__(what, size, max_size)
        self.what, self.size, self.max_size = what, size, max_size

    def __str__(self) -> str:
        return f"a batch with {self.size} {self.what} is over the limit of {self.max_size}"


class RemoteProtocolError(ProtocolError):
    """The other side broke the contract."""

    code: str = "malformed"

    @property
    def retryable(self) -> bool:
        """Whether sending the same again can succeed."""
        return RETRYABLE[self.code]


class MalformedMessageError(RemoteProtocolError):
    """A message cannot be read. `detail` says what is wrong; `request_id` is its id, if that can be read."""

    def __init__(self, detail: str, request_id: str | None = None) -> None:
        super().__init__(detail, request_id)
        self.detail, self.request_id = detail, request_id

    def __str__(self) -> str:
        return f"malformed message: {self.detail}"


class BatchError(RemoteProtocolError):
    """A batch cannot be stored as it is."""

    def __init__(self, code: RejectReason, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def first_error(error: ValidationError) -> str:
    """Return the first error of a validation and its field, without the value."""
    return error_sentence(error.errors(include_input=False, include_url=False, include_context=False)[0])


def error_sentence(detail: ErrorDetails) -> str:
    """Return one error of a validation and its field, without the value."""
    field, message = ".".join(map(str, detail["loc"])), detail["msg"].removeprefix(VALUE_ERROR)
    return f"{field}: {message}" if field else message
