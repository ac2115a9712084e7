"""Test that a deployment gets its first keys once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from tests.support.clouds import REGION, moto_dynamodb, tables

from logferry_cli.deploy.first_keys import (
    CHECKING,
    FirstKeys,
    agent_to_name,
    check_folder,
    key_for_checking,
    make_first_keys,
    write_keys,
)
from logferry_cli.problems import Problem
from logferry_cli.registry import Agent, Registry, Viewer, credential_of

NOW = 1_700_000_000_000


@pytest.fixture
def registry() -> Iterator[Registry]:
    with moto_dynamodb() as dynamodb, tables(dynamodb, "keys") as made:
        yield Registry(boto3.resource("dynamodb", region_name=REGION).Table(made.registry))


def test_new_deployment_gets_an_admin_and_an_agent_once(registry: Registry) -> None:
    first = make_first_keys(registry)
    assert first.admin is not None
    assert first.agent is not None
    assert (first.admin[:4], first.agent[:4]) == ("lfv_", "lfa_")
    admin = registry.principal("admin")
    assert admin is not None
    assert admin["admin"] is True
    assert make_first_keys(registry) == FirstKeys(None, None)


def test_revoked_keys_do_not_count(registry: Registry) -> None:
    """Otherwise nobody could read after the last admin's key is revoked."""
    first = make_first_keys(registry)
    assert first.admin is not None
    registry.revoke_credential(credential_of(first.admin), NOW)
    again = make_first_keys(registry)
    assert again.admin is not None
    assert again.agent is None


def test_expired_keys_do_not_count(registry: Registry) -> None:
    registry.ensure(Viewer("ada", "ada", (), admin=True), NOW)
    registry.issue("ada", "viewer", NOW, NOW // 1000 + 60)
    assert make_first_keys(registry).admin is not None


def test_other_admins_and_agents_with_roles_count(registry: Registry) -> None:
    registry.ensure(Viewer("ada", "ada", (), admin=True), NOW)
    registry.issue("ada", "viewer", NOW)
    registry.ensure(Agent("ecs", "ecs"), NOW)
    registry.map_role("arn:aws:iam::123456789012:role/agent", "ecs", NOW)
    assert make_first_keys(registry) == FirstKeys(None, None)


def test_viewers_without_rights_do_not_count(registry: Registry) -> None:
    registry.ensure(Viewer("bob", "bob"), NOW)
    registry.issue("bob", "viewer", NOW)
    assert make_first_keys(registry).admin is not None


def test_key_for_checking_is_revoked_and_counts_for_nobody(registry: Registry) -> None:
    with key_for_checking(registry) as key:
        (item,) = registry.credentials(CHECKING)
        assert item["pk"] == f"CREDENTIAL#{credential_of(key)}"
        assert "expires" in item
        registry.ensure(Agent("logferry-doctor", "logferry-doctor", ("*",)), NOW)
        registry.issue("logferry-doctor", "agent", NOW)
        first = make_first_keys(registry)
        assert first.admin is not None
        assert first.agent is not None
    (item,) = registry.credentials(CHECKING)
    assert "revoked" in item


def test_keys_are_written_to_private_files_and_replace_none(tmp_path: Path) -> None:
    first = write_keys(tmp_path / "new", FirstKeys("lfv_1", "lfa_1"))
    second = write_keys(tmp_path / "new", FirstKeys("lfv_2", None))
    assert [path.name for path in (*first, *second)] == ["admin-key", "agent-key", "admin-key-2"]
    assert [path.read_text() for path in (*first, *second)] == ["lfv_1\n", "lfa_1\n", "lfv_2\n"]
    assert {path.stat().st_mode & 0o077 for path in (*first, *second)} == {0}


def test_revoked_principals_get_no_key_and_are_no_problem(registry: Registry) -> None:
    """Where people sign in with OpenID Connect, nobody needs the first admin."""
    make_first_keys(registry)
    for name in ("admin", "hosts"):
        registry.revoke_principal(name, NOW)
    assert make_first_keys(registry) == FirstKeys(None, None)


def test_folder_that_takes_no_keys_is_refused_before_there_are_any(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "keys")
    assert list((tmp_path / "new" / "keys").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"Keys cannot be written to .*/file"):
        check_folder(tmp_path / "file")


def test_printed_commands_name_an_agent_that_is_there(registry: Registry) -> None:
    """A deployment of an earlier release has agents of other names."""
    assert agent_to_name(registry) == "hosts"
    registry.ensure(Agent("edge", "edge"), NOW)
    registry.ensure(Agent("logferry-doctor", "logferry-doctor"), NOW)
    assert agent_to_name(registry) == "edge"
    registry.ensure(Agent("hosts", "hosts"), NOW)
    assert agent_to_name(registry) == "hosts"
    registry.revoke_principal("hosts", NOW)
    assert agent_to_name(registry) == "edge"
