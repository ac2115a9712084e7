"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import functools
import os
import time
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from registry.principal import Principal
from runtime.aws_clients import client_config, make_client
from runtime.environment import read_settings
from runtime.websocket_push import Post, make_post

from .app import build_handler
from .core import Caller, Refusal
from .settings import Settings
from .store import Store

settings = read_settings(Settings, os.environ)
config = client_config()


@functools.cache
def agents() -> Post:
    """Return the client that pushes to agents. The first push makes it, so that not every cold start pays for it."""
    return make_post(make_client("apigatewaymanagementapi", config, endpoint_url=settings.agents_endpoint))


@functools.cache
def issuer() -> tuple[Any, Any]:
    """Return the OpenID Connect issuer and its keys. The first token imports the libraries (ADR 6)."""
    from . import oidc  # noqa: PLC0415

    known = oidc.Issuer(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_token,
        settings.oidc_subject_claim,
        settings.oidc_groups_claim,
        settings.oidc_admin_group,
    )
    return known, oidc.IssuerKeys(known.url)


def verify(token: str) -> Principal | Refusal:
    """Return the principal of a viewer's token, or why the token is refused."""
    if not settings.oidc_issuer:
        return Refusal("no_issuer")
    from . import oidc  # noqa: PLC0415

    return oidc.check_token(*issuer(), token, time.time())


def identify(token: str) -> Caller | Refusal:
    """Return the AWS role or user of an agent's identity, or why it is refused. The audience is this agents' API."""
    from . import aws_identity  # noqa: PLC0415

    request = aws_identity.parse(token, settings.identity_regions, datetime.now(UTC))
    if isinstance(request, Refusal):
        return request
    return aws_identity.caller(request, settings.agents_api, aws_identity.ask_sts)


store = Store(make_client("dynamodb", config), settings.registry_table, settings.log_table)
handler = build_handler(store, settings, agents, logger=Logger(), metrics=Metrics(), verify=verify, identify=identify)
start_up.finish()
