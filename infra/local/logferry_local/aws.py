"""Clients of a local cloud's AWS interfaces.

localstack-client resolves where each service is; our own credentials never take part.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from logferry_local.errors import LocalCloudError

REGION = "us-east-1"
# MiniStack takes `test` for the root of account 000000000000, as LocalStack does; the signature is not looked at.
ACCESS_KEY = "test"
# Says which certificates a machine trusts, not whose account is meant.
KEPT = frozenset({"AWS_CA_BUNDLE"})


class LocalAws:
    """boto3 clients and resources of one endpoint."""

    def __init__(self, endpoint_url: str, region: str = REGION) -> None:
        parts = urlsplit(endpoint_url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise LocalCloudError(
                f"{endpoint_url} is not an address.", "Say it as in --endpoint-url http://127.0.0.1:4566."
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.endpoint_url = f"{parts.scheme}://{parts.hostname}:{port}"
        self.region = region
        # boto3 and localstack-client read the environment too, and prefer some of it to what they are told: a profile
        # or an endpoint of the user's own must not turn part of the calls elsewhere.
        for name in [name for name in os.environ if name.startswith("AWS_") and name not in KEPT]:
            del os.environ[name]
        os.environ.update(self.environment())
        from localstack_client.session import Session  # noqa: PLC0415 - boto3: half a second that few commands need

        self._session = Session(
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
            aws_session_token=None,
            region_name=region,
            localstack_host=f"{parts.hostname}:{port}",
        )

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return self._session.client(service)

    def resource(self, service: str) -> Any:
        """A boto3 resource."""
        return self._session.resource(service)

    def environment(self) -> dict[str, str]:
        """What a program that speaks to AWS (the SAM CLI) must find to speak to this cloud alone."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
