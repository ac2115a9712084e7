"""What the template tells the function broadcast."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an environment variable of the same name in capitals."""

    registry_table: str
    """Subscriptions, connections, credentials."""
    agents_endpoint: str
    """Address of the agents' management API: a revoked key's connections are closed there."""
    viewers_endpoint: str
    """Address of the viewers' management API."""
