"""Test principals and keys in the registry table."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from connect.aws_identity import canonical
from logferry_cli.problems import Problem
from logferry_cli.registry import Agent, Registry, Viewer, canonical_arn, credential_of, new_key, principal_item
from logferry_cli.sizes import parse_size


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Provide an empty registry table with the index that lists keys."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        names = ("pk", "sk", "gpk", "gsk")
        keys: Any = [
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE") * 2, strict=True)
        ]
        yield boto3.resource("dynamodb", region_name="eu-west-1").create_table(
            TableName="registry",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            KeySchema=keys[:2],
            GlobalSecondaryIndexes=[
                {"IndexName": "by_target", "KeySchema": keys[2:], "Projection": {"ProjectionType": "ALL"}}
            ],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.fixture
def registry(table: object) -> Registry:
    return Registry(table)  # type: ignore[arg-type]


AGENT = Agent("fleet", "team-a", ("team-b", "*"))
VIEWER = Viewer("ann", "ann@example.com", ("team-a",))


@pytest.mark.parametrize(("kind", "prefix"), [("agent", "lfa"), ("viewer", "lfv")])
def test_key_has_256_random_bits_and_contains_its_credential(kind: str, prefix: str) -> None:
    """The form that the authorizers read."""
    keys = {new_key(kind).key for _ in range(200)}  # type: ignore[arg-type]
    assert len(keys) == 200
    assert all(re.fullmatch(rf"{prefix}_[a-z0-9]{{12}}_[A-Za-z0-9_-]{{43}}", key) for key in keys)
    issued = new_key(kind)  # type: ignore[arg-type]
    assert issued.key.split("_", 2)[1] == issued.credential == credential_of(issued.key)


def test_only_a_keys_hash_is_stored(registry: Registry, table: object) -> None:
    """Nobody can use what the table contains."""
    registry.ensure(AGENT, 1)
    issued = registry.issue("fleet", "agent", 2, expires=99)
    items = table.scan()["Items"]  # type: ignore[attr-defined]
    assert issued.key.split("_", 2)[2] not in str(items)
    [credential] = registry.credentials("fleet")
    assert credential["sha256"] == hashlib.sha256(issued.key.encode()).hexdigest()
    assert (credential["kind"], credential["principal"], credential["created"]) == ("agent", "fleet", 2)
    assert credential["expires"] == 99


def test_existing_principal_is_not_changed(registry: Registry) -> None:
    """A second `up`, or a second key, changes nobody's rights."""
    assert registry.ensure(VIEWER, 1)
    assert not registry.ensure(Viewer("ann", "root", (), admin=True), 2)
    found = registry.principal("ann")
    assert found is not None
    assert (found["subject"], found["groups"], found["admin"]) == ("ann@example.com", ["team-a"], False)


def test_name_cannot_be_of_both_kinds(registry: Registry) -> None:
    """An agent's key must never read."""
    registry.ensure(AGENT, 1)
    with pytest.raises(Problem, match="kind agent"):
        registry.ensure(Viewer("fleet", "x"), 2)
    with pytest.raises(Problem, match="no viewer principal"):
        registry.issue("fleet", "viewer", 2)


def test_principals_and_their_keys_are_listed(registry: Registry) -> None:
    """By name, each with its oldest key first, over any number of pages."""
    registry.ensure(VIEWER, 1)
    registry.ensure(AGENT, 1)
    made = [registry.issue("fleet", "agent", now).credential for now in (5, 30, 200)]
    assert [item["name"] for item in registry.principals()] == ["ann", "fleet"]
    assert [item["pk"] for item in registry.credentials("fleet")] == [f"CREDENTIAL#{name}" for name in made]
    assert list(registry.credentials("ann")) == []


def test_revoking_keeps_the_item_and_the_first_time(registry: Registry) -> None:
    """The change goes through the stream, which closes open connections."""
    registry.ensure(AGENT, 1)
    issued = registry.issue("fleet", "agent", 2)
    registry.revoke_credential(issued.credential, 10)
    registry.revoke_credential(issued.credential, 20)
    [credential] = registry.credentials("fleet")
    assert credential["revoked"] == 10
    registry.revoke_principal("fleet", 30)
    with pytest.raises(Problem, match="is revoked"):
        registry.issue("fleet", "agent", 40)


def test_revoking_an_unknown_credential_is_reported(registry: Registry) -> None:
    """A typing error must not look like success."""
    with pytest.raises(Problem, match="no credential"):
        registry.revoke_credential("a" * 12, 1)
    with pytest.raises(Problem, match="no principal"):
        registry.revoke_principal("nobody", 1)


@pytest.mark.parametrize("name", ["", "A", "-a", "a" * 64, "a.b", "a_b", "a b", "ä", "a\n"])
def test_invalid_name_is_refused(name: str) -> None:
    """It becomes part of keys and paths."""
    with pytest.raises(Problem, match="principal name"):
        principal_item(Agent(name, "x"), 1)


@pytest.mark.parametrize("owner", ["", "a b", "a/b", "a#b", "*", "a" * 129, "a\n"])
def test_invalid_owner_is_refused(owner: str) -> None:
    """`*` is a permission, never an owner."""
    for principal in (Agent("a", owner), Viewer("a", owner), Viewer("a", "x", (owner,))):
        with pytest.raises(Problem, match=r"is not a(n)? "):
            principal_item(principal, 1)


def test_missing_table_is_one_sentence(table: object) -> None:
    """boto3's errors never reach the terminal unchanged."""
    elsewhere = Registry(boto3.resource("dynamodb", region_name="eu-west-1").Table("nothing"))
    with pytest.raises(Problem, match="registry table refused"):
        elsewhere.ensure(AGENT, 1)


@pytest.mark.parametrize("text", ["", "x", "lfa_x_y", "lfa_" + "a" * 12, "a" * 13, "A" * 12])
def test_invalid_credential_is_refused(text: str) -> None:
    """`revoke` takes a credential or a whole key."""
    with pytest.raises(Problem, match="not a credential"):
        credential_of(text)


ROLE = "arn:aws:iam::123456789012:role/Fleet"


@pytest.mark.parametrize(
    ("given", "stands_for"),
    [
        (ROLE, ROLE),
        ("arn:aws:iam::123456789012:role/service-role/deep/Fleet", ROLE),
        ("arn:aws:sts::123456789012:assumed-role/Fleet/i-0abc", ROLE),
        ("arn:aws-cn:iam::123456789012:role/Fleet", "arn:aws-cn:iam::123456789012:role/Fleet"),
        ("arn:aws:iam::123456789012:user/machines/ci", "arn:aws:iam::123456789012:user/machines/ci"),
    ],
)
def test_role_is_named_as_sts_names_it(given: str, stands_for: str) -> None:
    """From IAM's ARN with its path, or from `aws sts get-caller-identity`."""
    assert canonical_arn(given) == stands_for
    said = stands_for.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/session"
    assert canonical(said if ":role/" in stands_for else stands_for) == stands_for


@pytest.mark.parametrize(
    "text",
    [
        "", "Fleet", "role/Fleet", "arn:aws:iam::12345:role/Fleet", "arn:aws:iam::123456789012:root",
        "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/a b", "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::123456789012:instance-profile/x", "arn:aws:s3:::bucket", f"{ROLE}\n", f" {ROLE}",
        "arn:aws:sts::123456789012:assumed-role/Fleet", "arn:aws:sts::123456789012:federated-user/x",
        "arn:aws:iam::123456789012:role/" + "x" * 65, "arn:gcp:iam::123456789012:role/Fleet",
    ],
)  # fmt: skip
def test_invalid_role_is_refused(text: str) -> None:
    """A misspelt role would admit nobody, and nobody would know why."""
    with pytest.raises(Problem, match=r"is not the ARN of an AWS role or user"):
        canonical_arn(text)


def test_role_is_mapped_listed_and_revoked(registry: Registry) -> None:
    """It can be mapped again, also to another agent."""
    registry.ensure(AGENT, 1)
    registry.ensure(Agent("other", "x"), 1)
    registry.map_role(ROLE, "fleet", 5)
    registry.map_role(ROLE, "fleet", 6)  # a second identical call changes nothing
    assert [(item["arn"], item["created"]) for item in registry.roles("fleet")] == [(ROLE, 5)]
    with pytest.raises(Problem, match="already mapped to fleet"):
        registry.map_role(ROLE, "other", 7)
    registry.revoke_role(ROLE, 8)
    assert [item["revoked"] for item in registry.roles("fleet")] == [8]
    registry.map_role(ROLE, "other", 9)
    assert [item["arn"] for item in registry.roles("other")] == [ROLE]
    assert list(registry.roles("fleet")) == []


def test_role_is_mapped_to_an_existing_agent_only(registry: Registry) -> None:
    """Never to a viewer or a revoked agent."""
    registry.ensure(VIEWER, 1)
    registry.ensure(AGENT, 1)
    with pytest.raises(Problem, match="no agent principal 'ann'"):
        registry.map_role(ROLE, "ann", 2)
    with pytest.raises(Problem, match="no agent principal 'nobody'"):
        registry.map_role(ROLE, "nobody", 2)
    registry.revoke_principal("fleet", 3)
    with pytest.raises(Problem, match="is revoked"):
        registry.map_role(ROLE, "fleet", 4)
    with pytest.raises(Problem, match="No role"):
        registry.revoke_role(ROLE, 4)


def test_quota_is_set_shown_and_removed(registry: Registry, table: object) -> None:
    """As the authorizer reads it; today's usage as ingest counts it."""
    registry.ensure(AGENT, 1)
    registry.ensure(VIEWER, 1)
    assert registry.quota("fleet", "2026-11-25") == (None, 0)
    registry.set_quota("fleet", 10_000_000)
    table.put_item(Item={"pk": "USAGE#fleet", "sk": "2026-11-25", "bytes": 1234})  # type: ignore[attr-defined]
    assert registry.quota("fleet", "2026-11-25") == (10_000_000, 1234)
    registry.set_quota("fleet", None)
    assert registry.quota("fleet", "2026-11-24") == (None, 0)
    for nobody in ("ann", "nobody"):
        with pytest.raises(Problem, match="no agent principal"):
            registry.set_quota(nobody, 5)
        with pytest.raises(Problem, match="no agent principal"):
            registry.quota(nobody, "2026-11-25")


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("500MB", 500_000_000), ("10 GB", 10**10), ("2TB", 2 * 10**12), ("64KiB", 65_536), ("7kB", 7_000),
     ("1GiB", 2**30)],
)  # fmt: skip
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5GB", "GB", "10 gigs", "1e9", "10GB\n", "99999999999999999999", "٣"]
)
def test_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize("names", [[f"{index:03}-{'x' * 124}" for index in range(50)], [f"{n:04}" for n in range(700)]])
def test_more_owners_and_groups_than_an_authorizer_carries_are_refused(names: list[str]) -> None:
    """The function `connect` would leave some out."""
    for principal in (Agent("web", "team", names), Viewer("me", "me", names)):
        with pytest.raises(Problem, match="too many"):
            principal_item(principal, 0)
    assert principal_item(Agent("web", "team", names[:45]), 0)["owners"] == names[:45]
    assert principal_item(Viewer("me", "me", names[:45]), 0)["groups"] == names[:45]
