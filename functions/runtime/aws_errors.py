"""Which failures of DynamoDB and of the way to it pass by themselves."""

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
"""A table takes no more now, or has a bad moment."""


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Whether the same call may succeed later. A missing permission, or a mistake of ours, does not pass."""
    return isinstance(error, BotoCoreError) or error.response["Error"]["Code"] in THROTTLING_CODES
