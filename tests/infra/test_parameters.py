"""Test what changing each of the template's parameters changes.

CloudFormation updates a resource only when its properties change, and only an update of `PublishedViewer` uploads the
viewer's files again. Every change is therefore looked for in the template that is resolved for both values.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
from tests.support.templates import Document, Resolver, load

from publish import core

OTHER: Final = {
    "AlarmTopic": "arn:aws:sns:eu-west-1:123456789012:alarms",
    "ExistingArchiveBucket": "old-archive",
    "ExistingLogStream": "arn:aws:dynamodb:eu-west-1:123456789012:table/old-log/stream/2026-11-30T19:00:00.000",
    "ExistingLogTable": "old-log",
    "ExistingRegistryStream": "arn:aws:dynamodb:eu-west-1:123456789012:table/old-reg/stream/2026-11-30T19:00:00.000",
    "ExistingRegistryTable": "old-reg",
    "GatewayBase": "http://127.0.0.1:4566/_aws/execute-api",
    "IdentityRegions": "eu-west-1,us-east-1",
    "OidcAdminGroup": "admins",
    "OidcClientId": "another-client",
    "OidcGroupsClaim": "groups",
    "OidcIssuer": "https://issuer.example/pool",
    "OidcLogout": "https://issuer.example/logout",
    "OidcOrigins": "https://issuer.example https://tokens.example",
    "OidcScope": "openid profile",
    "OidcSubjectClaim": "email",
    "PythonRuntime": "python3.14",
    "ViewerOrigins": "https://logs.example",
}
"""Another value of each parameter that names neither its values nor its least and greatest."""
NEEDED: Final = {
    **{
        name: {"OidcIssuer": "https://issuer.example"}
        for name in ("OidcClientId", "OidcScope", "OidcToken", "OidcLogout")
    },
    **{
        f"Existing{name}": {"ExistingLogTable": "old"}
        for name in ("LogStream", "RegistryTable", "RegistryStream", "ArchiveBucket")
    },
    "AlarmTopic": {"Monitoring": "on"},
}
"""What else must be set for a parameter to count."""
PUBLISHED: Final = {"OidcIssuer", "OidcClientId", "OidcScope", "OidcToken", "OidcLogout"}
"""Every parameter that /config.json has."""

PARAMETERS: Final = sorted(load("template.yaml")["Parameters"])


def other_value(template: Document, parameter: str) -> Any:
    """Return an allowed value of a parameter that is not its default."""
    allowed = template["Parameters"][parameter]
    if "AllowedValues" in allowed:
        return next(value for value in allowed["AllowedValues"] if value != allowed["Default"])
    value = allowed["Default"] + 1 if allowed["Type"] == "Number" else OTHER[parameter]
    assert allowed.get("MinValue", value) <= value <= allowed.get("MaxValue", value)
    assert re.match(allowed.get("AllowedPattern", ""), str(value)), parameter
    return value


def both(template: Document, parameter: str) -> tuple[dict[str, Document], dict[str, Document]]:
    """Return the resources with a parameter's default, and with another value."""
    needed = NEEDED.get(parameter, {})
    changed = Resolver(template, {**needed, parameter: other_value(template, parameter)})
    return Resolver(template, needed).resources(), changed.resources()


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_changed_configuration_of_the_viewer_is_published(written_template: Document, parameter: str) -> None:
    """What `publish` is given, by its environment or by the resource, changes only together with the resource."""
    before, after = both(written_template, parameter)
    if "PublishedViewer" not in after:
        return  # a local cloud serves the viewer itself
    environments = [found["Publish"]["Properties"]["Environment"] for found in (before, after)]
    resources = [found["PublishedViewer"]["Properties"] for found in (before, after)]
    if environments[0] != environments[1]:
        assert resources[0] != resources[1], "the files would be published anew only with the next viewer"
    files = [core.config_file(found["Config"]) for found in resources]
    assert (files[0] != files[1]) == (parameter in PUBLISHED)


def test_published_configuration_has_what_the_viewer_reads(written_template: Document) -> None:
    """The viewer refuses other names and takes absent ones as unset."""
    issuer, logout = "https://issuer.example", "https://issuer.example/logout"
    signed_in = {"OidcIssuer": issuer, "OidcClientId": "c", "OidcLogout": logout, "OidcScope": "openid email"}
    for parameters, auth in (
        ({}, {"kind": "key"}),
        (
            {"OidcIssuer": issuer, "OidcClientId": "c"},
            {"kind": "oidc", "issuer": issuer, "client_id": "c", "scope": "openid", "token": "access"},
        ),
        (
            signed_in,
            {
                **{"kind": "oidc", "issuer": issuer, "client_id": "c", "scope": "openid email"},
                **{"token": "access", "logout": logout},
            },
        ),
    ):
        resources = Resolver(written_template, parameters).resources()
        config = json.loads(core.config_file(resources["PublishedViewer"]["Properties"]["Config"]))
        assert config == {
            "api": "/api",
            "live": "wss://${Viewers}.execute-api.eu-west-1.amazonaws.com/live",
            "auth": auth,
        }


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_parameter_changes_a_property_of_a_resource_that_stays(written_template: Document, parameter: str) -> None:
    """A parameter that only adds or removes resources may count as no change: `sam deploy` would silently do nothing.

    The emulator's change sets are so (docs/aws.md has what is known of AWS's).
    """
    before, after = both(written_template, parameter)
    assert any(before[name]["Properties"] != after[name]["Properties"] for name in before.keys() & after.keys())
