"""Make clients of a local cloud's AWS interfaces.

localstack-client resolves each service's address. The user's own credentials are never used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from logferry_state.errors import LocalCloudError
from logferry_state.state import SECRET_KEY

REGION = "us-east-1"
# Plain MiniStack takes `test` for the root of account 000000000000, as LocalStack does, and ignores the signature. Our
# own emulator takes the state's secret instead (guard.py).
PLAIN_ACCESS_KEY = "test"
# Names the certificates that a machine trusts, not an account.
KEPT = frozenset({"AWS_CA_BUNDLE"})


class LocalAws:
    """Makes boto3 clients and resources of one endpoint."""

    def __init__(self, endpoint_url: str, region: str = REGION, access_key: str = PLAIN_ACCESS_KEY) -> None:
        parts = urlsplit(endpoint_url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise LocalCloudError(
                f"{endpoint_url} is not an address.", "Give one like --endpoint-url http://127.0.0.1:4566."
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.endpoint_url = f"{parts.scheme}://{parts.hostname}:{port}"
        self.region = region
        self.access_key = access_key
        with self._alone():
            from localstack_client.session import Session  # noqa: PLC0415 - boto3: half a second that few commands need

            self._session = Session(
                aws_access_key_id=access_key,
                aws_secret_access_key=SECRET_KEY,
                aws_session_token=None,
                region_name=region,
                localstack_host=f"{parts.hostname}:{port}",
            )

    def client(self, service: str) -> Any:
        """Return a boto3 client."""
        with self._alone():
            return self._session.client(service)

    def resource(self, service: str) -> Any:
        """Return a boto3 resource."""
        with self._alone():
            return self._session.resource(service)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Set the environment to this cloud's while clients are made.

        boto3 and localstack-client read the environment and prefer some of it to their arguments. A profile or an
        endpoint of the user must not send calls elsewhere. Afterwards the user's environment is restored.
        """
        theirs = {name: value for name, value in os.environ.items() if name.startswith("AWS_") and name not in KEPT}
        for name in theirs:
            del os.environ[name]
        os.environ.update(self.environment())
        try:
            yield
        finally:
            for name in self.environment():
                os.environ.pop(name, None)
            os.environ.update(theirs)

    def environment(self) -> dict[str, str]:
        """Return the environment that makes a program for AWS (the SAM CLI) use this cloud only."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
