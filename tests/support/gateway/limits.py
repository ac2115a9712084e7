"""The limits that API Gateway enforces, with their documentation.

QUOTA is https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-
limits-table.html. HTTP is https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The documented values; tests that cannot wait set smaller ones."""

    frame_bytes: int = 32 * 1024
    """QUOTA: WebSocket frame size 32 KB; a larger frame closes the connection with 1009."""
    message_bytes: int = 128 * 1024
    """QUOTA: message payload size 128 KB, in frames of 32 KB; larger: closed with 1009, or 413 from @connections."""
    idle_s: float = 600.0
    """QUOTA: idle connection timeout. AWS does not document whether ping frames count: here they do not."""
    duration_s: float = 7200.0
    """QUOTA: connection duration."""
    integration_s: float = 29.0
    """QUOTA: integration timeout, for every integration type."""
    http_integration_s: float = 30.0
    """HTTP: maximum integration timeout, answered 503."""
    http_body_bytes: int = 10 * 1024**2
    """HTTP: payload size."""
    http_head_bytes: int = 10_240
    """HTTP: total combined size of request line and header values."""
    url_chars: int = 4096
    """QUOTA: URL length of a WebSocket API."""
    connects_per_s: float = 500.0
    """QUOTA: new connections per second, account and Region."""
    connect_burst: int = 500
    requests_per_s: float | None = None
    """Messages or requests a second of one API; None: the template's ThrottlingRateLimit."""
    request_burst: int | None = None
    authorizer_bytes: int = 8 * 1024
    """QUOTA: authorizer result size."""
    client_buffer_bytes: int = 512 * 1024
    """Messages queued for one client before @connections answers 429. The limit is documented
    (PostToConnection, LimitExceededException: "the WebSocket client side buffer is full"), its size is not."""
    concurrency: int = 4
    """Concurrent invocations of one function; more wait. This machine's limit, not AWS's: each is a process."""
    close_wait_s: float = 1.0
    """How long a client may take to answer a close."""
