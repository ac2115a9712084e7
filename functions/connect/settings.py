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
    identity_regions: tuple[str, ...]
    """Regions whose STS may be asked who an agent is."""
    oidc_issuer: str
    """The OpenID Connect issuer whose tokens viewers may sign in with; empty for none."""
    oidc_client_id: str
    """The client that those tokens must be for."""
    oidc_token: str
    """Which of its tokens are taken: `id` or `access`."""
    oidc_subject_claim: str
    """The claim that is the viewer's subject."""
    oidc_groups_claim: str
    """The claim that lists the viewer's groups."""
    oidc_admin_group: str
    """The group whose members read every job; empty for none."""
