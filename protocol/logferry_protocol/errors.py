"""The errors of the wire.

    ProtocolError
    ├── LocalProtocolError      we are wrong: a bug here, never sent
    │   ├── FrameTooLargeError      a message that does not fit one frame
    │   └── BodyTooLargeError       a body over its compressed or decoded limit, asked to be encoded
    └── RemoteProtocolError     they are wrong: answered with `code`, counted, and life goes on
        ├── MalformedMessageError   not JSON, an unknown type, a field that does not fit the schema
        └── BatchError              one batch that cannot be stored; the others of its envelope can

Fields are set in `__init__` and the sentence is built in `__str__`: metrics use the fields, people read the sentence.
"""

from typing import Final, Literal

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
"""What an `error` message, or an entry of `opened`, says."""

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
"""Whether sending the same again can succeed. `out_of_sequence` wants an `open` of the job first."""


class ProtocolError(Exception):
    """The root of every error of this package."""


class LocalProtocolError(ProtocolError):
    """We broke the contract: a bug on this side."""


class FrameTooLargeError(LocalProtocolError):
    """A message of ours does not fit one frame."""

    def __init__(self, kind: str, size: int, max_size: int) -> None:
        super().__init__(kind, size, max_size)
        self.kind, self.size, self.max_size = kind, size, max_size

    def __str__(self) -> str:
        return f"a {self.kind} message of {self.size} bytes does not fit a frame of {self.max_size}"


class BodyTooLargeError(LocalProtocolError):
    """A batch of ours does not fit its body: the caller splits it."""

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
        """Whether the same again can succeed."""
        return RETRYABLE[self.code]


class MalformedMessageError(RemoteProtocolError):
    """A message that is not one: `detail` says what to mend, `request_id` names it when it could be read."""

    def __init__(self, detail: str, request_id: str | None = None) -> None:
        super().__init__(detail, request_id)
        self.detail, self.request_id = detail, request_id

    def __str__(self) -> str:
        return f"malformed message: {self.detail}"


class BatchError(RemoteProtocolError):
    """A batch that cannot be stored as it is."""

    def __init__(self, code: RejectReason, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"
