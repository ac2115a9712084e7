"""Pushes frames to WebSocket connections through API Gateway's management API."""

from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError


class ConnectionGoneError(Exception):
    """The connection is closed for good (410)."""


class ConnectionBusyError(Exception):
    """The connection takes no frames now: its client is slow, or the account's rate is used up (429)."""


class Post(Protocol):
    """Sends one frame to one connection."""

    def __call__(self, connection: str, frame: bytes) -> None:
        """Send a frame.

        Raises:
            ConnectionGoneError: the connection is closed.
            ConnectionBusyError: the connection takes no frames now.
        """


def make_post(management: Any) -> Post:
    """Return a `Post` that uses a client of `apigatewaymanagementapi`."""

    def post(connection: str, frame: bytes) -> None:
        try:
            management.post_to_connection(ConnectionId=connection, Data=frame)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if error.response["Error"]["Code"] in {"GoneException", "410"} or status == 410:
                raise ConnectionGoneError(connection) from None
            if status == 429 or (status or 0) >= 500:
                raise ConnectionBusyError(connection) from None
            raise
        except BotoCoreError as error:
            raise ConnectionBusyError(connection) from error

    return post


def make_close(management: Any) -> Any:
    """Return a function that closes a connection, whether or not it is still open."""

    def close(connection: str) -> None:
        try:
            management.delete_connection(ConnectionId=connection)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if error.response["Error"]["Code"] not in {"GoneException", "410"} and status != 410:
                raise

    return close
