"""Which errors of AWS calls are temporary."""

from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

THROTTLING_CODES: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
    }
)
"""Codes by which DynamoDB says that a table takes no more requests now, or fails for a moment."""


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Return whether the same call may succeed later. A missing permission or a wrong request is not temporary."""
    return isinstance(error, BotoCoreError) or error.response["Error"]["Code"] in THROTTLING_CODES
