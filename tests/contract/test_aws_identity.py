"""Test that the cloud accepts what the agent signs (PROTOCOL.md, AWS identity): botocore signs, connect checks."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.sts import BARE, RoleCredentials, SignatureCheckingSts, metadata_server, random_credentials

from connect.aws_identity import SignedRequest, caller, parse
from connect.core import Caller, Refusal
from logferry_agent.edge.credentials import AwsRole, CredentialError
from logferry_protocol.aws_identity import MAX_TOKEN_CHARS, PREFIX

AUDIENCE = "a1b2c3d4e5"
FLEET = "arn:aws:iam::123456789012:role/Fleet"


@pytest.fixture(autouse=True)
def bare_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide no credentials except those that a test sets."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in BARE.items():
        monkeypatch.setenv(name, value)


def set_credentials(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def identity_of(
    token: str, sts: SignatureCheckingSts, audience: str = AUDIENCE, region: str = "eu-west-1"
) -> str | Refusal:
    """Return the identity that the cloud derives from a token."""
    request = parse(token, (region,), datetime.now(UTC))
    found = request if isinstance(request, Refusal) else caller(request, audience, sts)
    return found.arn if isinstance(found, Caller) else found


@pytest.mark.parametrize("kind", ["environment", "ecs", "ec2"])
def test_hosts_role_is_known_from_every_credential_source(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables, an ECS task's endpoint, an EC2 instance's metadata; STS itself checks the signature."""
    credentials = random_credentials()
    with metadata_server(credentials) as server:
        set_credentials(monkeypatch, credentials.environment() if kind == "environment" else server.environment(kind))
        role = AwsRole(AUDIENCE, "eu-west-1")
        sts = SignatureCheckingSts([credentials])
        assert identity_of(role.token(), sts) == FLEET
        assert sts.asked == ["sts.eu-west-1.amazonaws.com"]
        assert {"environment": "env", "ecs": "container-role", "ec2": "iam-role"}[kind] in role.advice


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("ap-southeast-2", "sts.ap-southeast-2.amazonaws.com"),
    ],
)
def test_every_partition_has_an_sts_host(region: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agent and cloud derive the same signed host from a region."""
    credentials = random_credentials()
    set_credentials(monkeypatch, credentials.environment())
    sts = SignatureCheckingSts([credentials])
    assert identity_of(AwsRole(AUDIENCE, region).token(), sts, region=region) == FLEET
    assert sts.asked == [host]


def test_token_for_another_deployment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its audience is signed, and the cloud sends its own."""
    credentials = random_credentials()
    set_credentials(monkeypatch, credentials.environment())
    token = AwsRole("another", "eu-west-1").token()
    assert identity_of(token, SignatureCheckingSts([credentials])) == Refusal("identity_refused")
    assert identity_of(token, SignatureCheckingSts([credentials]), "another") == FLEET


def test_changed_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any changed character of the signed part invalidates it."""
    credentials = random_credentials()
    set_credentials(monkeypatch, credentials.environment())
    query = base64.urlsafe_b64decode(AwsRole(AUDIENCE, "eu-west-1").token().removeprefix(PREFIX) + "==").decode()
    before = query.partition("X-Amz-Date=")[2][:16]
    signed = datetime.strptime(before, "%Y%m%dT%H%M%S%z")
    # Another second of the same day: the signature's scope names the day, which is compared without a request.
    other = signed + timedelta(seconds=1 if signed.second < 59 else -1)
    changed = base64.urlsafe_b64encode(
        query.replace(f"X-Amz-Date={before}", f"X-Amz-Date={other:%Y%m%dT%H%M%SZ}").encode()
    ).decode()
    assert identity_of(PREFIX + changed.rstrip("="), SignatureCheckingSts([credentials])) == Refusal("identity_refused")


def test_credentials_unknown_to_aws_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made them."""
    set_credentials(monkeypatch, random_credentials().environment())
    assert identity_of(AwsRole(AUDIENCE, "eu-west-1").token(), SignatureCheckingSts([])) == Refusal("identity_refused")


def test_every_token_uses_current_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials about to expire are renewed: an agent runs for months, and they last for hours."""
    first, second = random_credentials(life=timedelta(minutes=5)), random_credentials()
    with metadata_server(first) as server:
        set_credentials(monkeypatch, server.environment("ecs"))
        role = AwsRole(AUDIENCE, "eu-west-1")
        assert identity_of(role.token(), SignatureCheckingSts([first])) == FLEET
        server.credentials = second
        assert identity_of(role.token(), SignatureCheckingSts([second])) == FLEET


def test_host_without_a_role_is_reported_and_may_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """At boot, an instance's role may arrive later than the agent."""
    role = AwsRole(AUDIENCE, "eu-west-1")
    with pytest.raises(CredentialError, match="no AWS credentials were found"):
        role.token()
    credentials = random_credentials()
    set_credentials(monkeypatch, credentials.environment())
    assert identity_of(role.token(), SignatureCheckingSts([credentials])) == FLEET


def test_failing_endpoint_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is retried at the next handshake."""
    with metadata_server(random_credentials()) as server:
        server.credentials = None
        set_credentials(monkeypatch, server.environment("ecs"))
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        with pytest.raises(CredentialError, match="cannot be fetched"):
            AwsRole(AUDIENCE, "eu-west-1").token()


def test_oversized_token_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Session tags make session tokens long."""
    tagged = RoleCredentials("ASIA" + "X" * 16, "secret", "t" * MAX_TOKEN_CHARS, FLEET)
    set_credentials(monkeypatch, tagged.environment())
    with pytest.raises(CredentialError, match="session token of these credentials is too long"):
        AwsRole(AUDIENCE, "eu-west-1").token()


def test_token_does_not_contain_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its host nor the secret: the cloud derives the host and never needs the secret."""
    credentials = random_credentials()
    set_credentials(monkeypatch, credentials.environment())
    token = AwsRole(AUDIENCE, "eu-west-1").token()
    query = base64.urlsafe_b64decode(token.removeprefix(PREFIX) + "==").decode()
    assert "amazonaws" not in query
    assert credentials.secret_key not in query
    assert isinstance(parse(token, ("eu-west-1",), datetime.now(UTC)), SignedRequest)
