"""The settings of the function connect, from the template."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable of the same name in capitals."""

    registry_table: str
    """The table of principals, credentials, tickets, connections, subscriptions and jobs."""
    log_table: str
    """The table of batches, for a job's tip."""
    agents_api: str
    """The id of the agents' WebSocket API, which keys open."""
    viewers_api: str
    """The id of the viewers' WebSocket API, which tickets open."""
    agents_endpoint: str
    """The address of the agents' management API, for `watch`."""
    viewer_origins: tuple[str, ...]
    """The origins whose pages may open the viewers' WebSocket."""
    identity_regions: tuple[str, ...]
    """The regions whose STS may be asked who an agent is."""
    oidc_issuer: str
    """The OpenID Connect issuer whose tokens viewers may use; empty for none."""
    oidc_client_id: str
    """The client that those tokens must be issued for."""
    oidc_token: str
    """Which of its tokens are accepted: `id` or `access`."""
    oidc_subject_claim: str
    """The claim with the viewer's subject."""
    oidc_groups_claim: str
    """The claim with the viewer's groups."""
    oidc_admin_group: str
    """The group whose members read every job; empty for none."""
