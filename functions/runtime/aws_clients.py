"""Makes the functions' AWS clients, with timeouts and retries of their own.

A function has to answer before its own timeout in the template, so no client may wait for botocore's default of 60 s.
The clients come from botocore itself. They are boto3's, but importing boto3 costs a cold start 25 ms more (ADR 6).
"""

import functools
from typing import Any, Final

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

CONNECT_TIMEOUT_S: Final = 2
READ_TIMEOUT_S: Final = 4
"""DynamoDB answers within milliseconds. A request that takes seconds is lost, and a retry is faster than waiting."""

RETRIES: Final = 3
CONNECTIONS: Final = 10
"""Botocore's default pool size."""
SERVICES: Final = ("apigatewaymanagementapi", "cloudfront", "dynamodb", "lambda", "s3")
"""The AWS services that the functions use."""


def client_config(
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
    retries: int = RETRIES,
    connections: int = CONNECTIONS,
) -> Config:
    """Return the configuration of a client. A caller that differs from a default says why.

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


class _KnownServices(Loader):
    """Botocore's own loader, which does not look whether a service exists.

    Otherwise it lists the folders of all 430 services, twice for each client: 20 ms of a cold start.
    """

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services that the functions use."""
        return list(SERVICES)


@functools.cache
def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _KnownServices(session.get_config_variable("data_path")))
    return session


def make_client(service: str, config: Config | None = None, endpoint_url: str | None = None) -> Any:
    """Return a client for an AWS service, with the function's role and region.

    Args:
        service: one of `SERVICES`.
        config: its timeouts and retries; botocore's own by default.
        endpoint_url: its address, where it is not the region's.
    """
    return _session().create_client(service, config=config, endpoint_url=endpoint_url)
