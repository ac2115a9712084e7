"""Principals and keys in the registry table."""

import hashlib
import re
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from logferry_cli.problems import Problem
from logferry_cli.registry import Agent, Registry, Viewer, credential_of, new_key, principal_item


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """An empty registry table with the index that keys are listed by."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        names = ("pk", "sk", "gpk", "gsk")
        keys = [
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE") * 2, strict=True)
        ]
        yield boto3.resource("dynamodb", region_name="eu-west-1").create_table(
            TableName="registry",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            KeySchema=keys[:2],  # type: ignore[arg-type]
            GlobalSecondaryIndexes=[
                {"IndexName": "by_target", "KeySchema": keys[2:], "Projection": {"ProjectionType": "ALL"}}  # type: ignore[typeddict-item]
            ],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.fixture
def registry(table: object) -> Registry:
    return Registry(table)  # type: ignore[arg-type]


AGENT = Agent("fleet", "team-a", ("team-b", "*"))
VIEWER = Viewer("ann", "ann@example.com", ("team-a",))


@pytest.mark.parametrize(("kind", "prefix"), [("agent", "lfa"), ("viewer", "lfv")])
def test_a_key_has_256_random_bits_and_its_credential_in_it(kind: str, prefix: str) -> None:
    """The form that the authorizers read."""
    keys = {new_key(kind).key for _ in range(200)}  # type: ignore[arg-type]
    assert len(keys) == 200
    assert all(re.fullmatch(rf"{prefix}_[a-z0-9]{{12}}_[A-Za-z0-9_-]{{43}}", key) for key in keys)
    issued = new_key(kind)  # type: ignore[arg-type]
    assert issued.key.split("_", 2)[1] == issued.credential == credential_of(issued.key)


def test_only_a_keys_hash_is_stored(registry: Registry, table: object) -> None:
    """Who reads the table can use nothing that stands in it."""
    registry.ensure(AGENT, 1)
    issued = registry.issue("fleet", "agent", 2, expires=99)
    items = table.scan()["Items"]  # type: ignore[attr-defined]
    assert issued.key.split("_", 2)[2] not in str(items)
    [credential] = registry.credentials("fleet")
    assert credential["sha256"] == hashlib.sha256(issued.key.encode()).hexdigest()
    assert (credential["kind"], credential["principal"], credential["created"]) == ("agent", "fleet", 2)
    assert credential["expires"] == 99


def test_a_principal_that_is_there_stays_as_it_is(registry: Registry) -> None:
    """A second `up`, or a second key, changes nobody's rights."""
    assert registry.ensure(VIEWER, 1)
    assert not registry.ensure(Viewer("ann", "root", (), admin=True), 2)
    found = registry.principal("ann")
    assert found is not None
    assert (found["subject"], found["groups"], found["admin"]) == ("ann@example.com", ["team-a"], False)


def test_a_name_cannot_be_of_both_kinds(registry: Registry) -> None:
    """An agent's key must never read."""
    registry.ensure(AGENT, 1)
    with pytest.raises(Problem, match="kind agent"):
        registry.ensure(Viewer("fleet", "x"), 2)
    with pytest.raises(Problem, match="no viewer principal"):
        registry.issue("fleet", "viewer", 2)


def test_principals_and_their_keys_are_listed(registry: Registry) -> None:
    """By name, each key the oldest first, over any number of pages."""
    registry.ensure(VIEWER, 1)
    registry.ensure(AGENT, 1)
    made = [registry.issue("fleet", "agent", now).credential for now in (5, 30, 200)]
    assert [item["name"] for item in registry.principals()] == ["ann", "fleet"]
    assert [item["pk"] for item in registry.credentials("fleet")] == [f"CREDENTIAL#{name}" for name in made]
    assert list(registry.credentials("ann")) == []


def test_revoking_keeps_the_item_and_the_first_time(registry: Registry) -> None:
    """The change goes through the stream, so that open connections are closed."""
    registry.ensure(AGENT, 1)
    issued = registry.issue("fleet", "agent", 2)
    registry.revoke_credential(issued.credential, 10)
    registry.revoke_credential(issued.credential, 20)
    [credential] = registry.credentials("fleet")
    assert credential["revoked"] == 10
    registry.revoke_principal("fleet", 30)
    with pytest.raises(Problem, match="is revoked"):
        registry.issue("fleet", "agent", 40)


def test_revoking_what_is_not_there_is_said(registry: Registry) -> None:
    """A typing error must not look like success."""
    with pytest.raises(Problem, match="no credential"):
        registry.revoke_credential("a" * 12, 1)
    with pytest.raises(Problem, match="no principal"):
        registry.revoke_principal("nobody", 1)


@pytest.mark.parametrize("name", ["", "A", "-a", "a" * 64, "a.b", "a_b", "a b", "ä", "a\n"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    """It becomes part of keys and paths."""
    with pytest.raises(Problem, match="principal name"):
        principal_item(Agent(name, "x"), 1)


@pytest.mark.parametrize("owner", ["", "a b", "a/b", "a#b", "*", "a" * 129, "a\n"])
def test_an_owner_that_does_not_fit_is_refused(owner: str) -> None:
    """`*` is a permission, never somebody."""
    for principal in (Agent("a", owner), Viewer("a", owner), Viewer("a", "x", (owner,))):
        with pytest.raises(Problem, match=r"is not a(n)? "):
            principal_item(principal, 1)


def test_a_table_that_is_not_there_is_one_sentence(table: object) -> None:
    """boto3's errors never reach the terminal as they are."""
    elsewhere = Registry(boto3.resource("dynamodb", region_name="eu-west-1").Table("nothing"))
    with pytest.raises(Problem, match="registry table refused"):
        elsewhere.ensure(AGENT, 1)


@pytest.mark.parametrize("text", ["", "x", "lfa_x_y", "lfa_" + "a" * 12, "a" * 13, "A" * 12])
def test_what_is_no_credential_is_refused(text: str) -> None:
    """`revoke` takes a credential or a whole key."""
    with pytest.raises(Problem, match="not a credential"):
        credential_of(text)
