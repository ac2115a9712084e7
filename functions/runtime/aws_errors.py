"""Which errors of AWS calls are temporary, and which are a condition that did not hold."""

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


def condition_failed(error: ClientError) -> bool:
    """Return whether a conditional write failed because its condition did not hold."""
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Return whether the same call may succeed later. A missing permission or a wrong request is not temporary."""
    return isinstance(error, BotoCoreError) or error.response["Error"]["Code"] in THROTTLING_CODES
