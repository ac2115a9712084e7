"""The settings of the function broadcast, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    registry_table: str
    """The table of subscriptions, connections and credentials."""
    agents_endpoint: str
    """The address of the agents' management API, which closes the connections of a revoked key."""
    viewers_endpoint: str
    """The address of the viewers' management API."""
