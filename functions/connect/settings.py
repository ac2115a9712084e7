"""What the template tells the function connect."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    registry_table: str
    """Principals, credentials, tickets, connections, subscriptions, jobs."""
    log_table: str
    """Where a job's tip is read."""
    agents_api: str
    """Id of the agents' WebSocket API: keys open it."""
    viewers_api: str
    """Id of the viewers' WebSocket API: tickets open it."""
    agents_endpoint: str
    """Address of the agents' management API, for `watch`."""
    viewer_origins: tuple[str, ...]
    """Origins whose pages may open the viewers' WebSocket."""
