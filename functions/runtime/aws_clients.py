"""Timeouts and retries of the functions' AWS clients.

A function has to answer before its own timeout in the template, so no client may wait for botocore's default of 60 s.
"""

from typing import Final

from botocore.config import Config

CONNECT_TIMEOUT_S: Final = 2
READ_TIMEOUT_S: Final = 4
"""DynamoDB answers within milliseconds. A request that takes seconds is lost, and a retry is faster than waiting."""

RETRIES: Final = 3
CONNECTIONS: Final = 10
"""Botocore's default pool size."""


def client_config(
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
    retries: int = RETRIES,
    connections: int = CONNECTIONS,
) -> Config:
    """Return the configuration of a boto3 client. A caller that differs from a default says why.

    Args:
        connect_timeout_s: seconds until a connection must be open.
        read_timeout_s: seconds until an answer must come, for each try.
        retries: tries after the first. Botocore's `standard` mode waits before each, with exponential backoff and full
            jitter.
        connections: size of the connection pool. It must be as large as the number of threads that use the client, or
            botocore discards connections after each use.
    """
    return Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        max_pool_connections=connections,
        retries={"mode": "standard", "max_attempts": retries},
    )
