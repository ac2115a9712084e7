"""How the agent authenticates to the cloud: by a key or the AWS role of its host, again at every handshake.

For the role see protocol/PROTOCOL.md, AWS identity. The agent signs a request to STS and does not send it. The cloud
sends it, and so learns from AWS itself whose request it is. No secret leaves the host, and none is stored on it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from logferry_protocol.aws_identity import (
    ACTION,
    ACTION_VERSION,
    AUDIENCE_HEADER,
    MAX_AGE_S,
    MAX_TOKEN_CHARS,
    PREFIX,
    sts_host,
)


class CredentialError(Exception):
    """There is no credential now. The message says why and what to do."""


class Credential(Protocol):
    """A way to authenticate."""

    @property
    def advice(self) -> str:
        """A sentence for people: what is wrong when the cloud does not accept this credential, and what to do."""
        ...

    def token(self) -> str:
        """Return the bearer token for the next handshake. May wait for the network.

        Raises:
            CredentialError: There is none now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """An agent's key."""

    read: Callable[[], str]
    """Returns the key as it is now.

    Raises:
        CredentialError: It cannot be read.
    """

    @property
    def advice(self) -> str:
        """See `Credential`."""
        return (
            "the cloud does not accept the agent's key: create a new one with `logferry keys create agent` and set it"
        )

    def token(self) -> str:
        """See `Credential`."""
        return self.read()


class AwsRole:
    """The AWS role whose credentials botocore finds: environment, profile, ECS task or EC2 instance.

    botocore is imported when the first token is made, so that an agent with a key does not load it.
    """

    def __init__(self, audience: str, region: str) -> None:
        """Authenticate by a role.

        Args:
            audience: The id of the agents' API.
            region: The region whose STS the cloud asks.
        """
        self._audience, self._region = audience, region
        self._session: Any = None
        self._found = "none found yet"

    @property
    def advice(self) -> str:
        """See `Credential`."""
        return (
            f"the cloud does not accept this host's AWS role (credentials: {self._found}; STS of {self._region};"
            f" deployment {self._audience}): check that the role is mapped to an agent, that the deployment allows the"
            " region, and that this host's clock is right; the connect function logs the reason"
        )

    def token(self) -> str:
        """See `Credential`."""
        from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 - see the class
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        url = f"https://{sts_host(self._region)}/?Action={ACTION}&Version={ACTION_VERSION}"
        request = AWSRequest("GET", url, headers={AUDIENCE_HEADER: self._audience})
        SigV4QueryAuth(self._credentials(), "sts", self._region, expires=MAX_AGE_S).add_auth(request)
        query = urlsplit(str(request.url)).query
        token = PREFIX + base64.urlsafe_b64encode(query.encode()).decode().rstrip("=")
        if len(token) > MAX_TOKEN_CHARS:
            raise CredentialError(
                f"the signed AWS identity has {len(token)} characters, more than the {MAX_TOKEN_CHARS} allowed, because"
                " the session token of these credentials is too long: use a role with fewer session tags, or a key"
            )
        return token

    def _credentials(self) -> Any:
        """Return the current credentials. botocore renews those that expire."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        try:
            # A new session looks again: an instance's role may be attached after its boot.
            self._session = self._session or Session()
            credentials = self._session.get_credentials()
            if credentials is None:
                raise CredentialError(
                    "no AWS credentials were found (environment, profile, ECS task role, EC2 instance role): give the"
                    " host a role; in a container on EC2 the instance's metadata hop limit must be 2 or more"
                )
            self._found = str(credentials.method)
            return credentials.get_frozen_credentials()
        except (BotoCoreError, OSError, ValueError, RuntimeError) as error:
            raise CredentialError(f"the AWS credentials cannot be fetched: {error}") from error
