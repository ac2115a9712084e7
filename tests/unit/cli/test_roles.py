"""Test `logferry keys`, `roles` and `quota` as an operator types them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import cast

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from moto import mock_aws
from tests.support import clouds

from logferry_cli import app, keys, roles
from logferry_cli.deployment import Deployment
from registry import items

ROLE = "arn:aws:iam::123456789012:role/Fleet"
OUTPUTS = {
    "AgentsUrl": "wss://a.execute-api.eu-west-1.amazonaws.com/live",
    "HttpUrl": "https://h.execute-api.eu-west-1.amazonaws.com",
    "ViewersUrl": "wss://v.execute-api.eu-west-1.amazonaws.com/live",
    "ViewerUrl": "https://d111111abcdef8.cloudfront.net",
}
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command against its own registry and return its exit status."""
    with mock_aws(), clouds.tables(boto3.client("dynamodb", **clouds.SECRETS), "t") as tables:
        session = boto3.Session(**clouds.SECRETS)
        deployment = Deployment(session, None, "t", OUTPUTS | {"RegistryTable": tables.registry})
        for module in (roles, keys):
            monkeypatch.setattr(module, "find_deployment", lambda _state, _stack: deployment)

        def command(*words: str) -> int:
            monkeypatch.setattr(sys, "argv", ["logferry", *words])
            with pytest.raises(SystemExit) as done:
                app.main()
            return int(done.value.code or 0)

        yield command


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("agent", {"LOGFERRY_AGENTS_URL": OUTPUTS["AgentsUrl"]}),
        (
            "viewer",
            {
                "LOGFERRY_API_URL": OUTPUTS["HttpUrl"],
                "LOGFERRY_VIEWERS_URL": OUTPUTS["ViewersUrl"],
                "LOGFERRY_VIEWER_URL": OUTPUTS["ViewerUrl"],
            },
        ),
    ],
)
def test_new_key_of_a_stack_comes_with_its_addresses(
    run: Run, capsys: pytest.CaptureFixture[str], kind: str, settings: dict[str, str]
) -> None:
    """They are on stderr: stdout is the key alone, for a script."""
    assert run("keys", "create", kind, "ada", "--stack", "t") == 0
    told = capsys.readouterr()
    assert re.fullmatch(r"lf[av]_\S+\n", told.out)
    said = [line.strip() for line in told.err.splitlines() if line.startswith("  ")]
    assert said == [*(f"{name}={value}" for name, value in settings.items()), f"LOGFERRY_{kind.upper()}_KEY=the key"]


def test_new_key_of_a_local_cloud_is_printed_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands find a local cloud's addresses themselves."""
    assert run("keys", "create", "viewer", "ada") == 0
    assert "LOGFERRY" not in capsys.readouterr().err


def test_role_is_mapped_and_creates_its_agent(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """In one command; the lists show it and say when it is revoked."""
    assert run("roles", "map", f"{ROLE.replace('role/', 'role/deep/')}", "--agent", "fleet", "--owner", "shop") == 0
    assert capsys.readouterr().err == f"The role {ROLE} is mapped to the agent fleet.\n"
    assert run("roles", "list", "--json") == 0
    [role] = json.loads(capsys.readouterr().out)
    assert (role["arn"], role["agent"]) == (ROLE, "fleet")
    assert run("keys", "list") == 0
    assert capsys.readouterr().out == f"agent fleet: owner shop\n  {ROLE}\n"
    assert run("roles", "revoke", "arn:aws:sts::123456789012:assumed-role/Fleet/i-0abc") == 0
    capsys.readouterr()
    assert run("roles", "list") == 0
    assert capsys.readouterr().out == f"{ROLE}  fleet  revoked\n"


def test_recreated_role_is_bound_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The list shows the bound unique id; `rebind` binds the next host that signs in."""
    assert run("roles", "map", ROLE, "--agent", "fleet") == 0
    table = roles._registry(None, None)._table  # type: ignore[arg-type]
    [mapped] = table.query(KeyConditionExpression=Key("pk").eq(f"ROLE#{ROLE}"))["Items"]
    [key] = [items.from_item(items.role_id_key(ROLE, int(cast(Decimal, mapped["created"]))))]
    table.put_item(Item=key | {"arn": ROLE, "unique_id": "AROA0123456789FLEET00", "bound": 1})
    capsys.readouterr()
    assert run("roles", "list") == 0
    assert capsys.readouterr().out == f"{ROLE}  fleet  AROA0123456789FLEET00\n"
    assert run("roles", "rebind", ROLE) == 0
    assert "The next host that signs in" in capsys.readouterr().err
    assert run("roles", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["unique_id"] is None
    assert "Item" not in table.get_item(Key=key)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("map", "Fleet", "--agent", "fleet"), "'Fleet' is not the ARN of an AWS role or user"),
        (("map", ROLE, "--agent", "Fleet!"), "'Fleet!' is not a principal name"),
        (("map", ROLE, "--agent", "fleet", "--owner", "a b"), "'a b' is not a owner"),
        (("revoke", ROLE), f"No role {ROLE} is mapped"),
        (("rebind", ROLE), f"No role {ROLE} is mapped"),
    ],
)
def test_invalid_input_is_one_clear_line(
    run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    """Nothing is created."""
    assert run("roles", *words) == 1
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert says in told.err
    assert run("keys", "list") == 0
    assert capsys.readouterr().out == ""


def test_quota_is_set_shown_and_removed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """For an existing agent."""
    assert run("quota", "fleet", "10GB") == 1
    assert "no agent principal 'fleet'" in capsys.readouterr().err
    assert run("keys", "create", "agent", "fleet") == 0
    capsys.readouterr()
    assert run("quota", "fleet") == 0
    assert capsys.readouterr().out == "fleet: no limit\n"
    assert run("quota", "fleet", "10GB") == 0
    assert capsys.readouterr().out == "fleet: 10 GB a day, 0 B of it used today\n"
    assert run("keys", "list") == 0
    assert "owner fleet, 10 GB a day\n" in capsys.readouterr().out
    assert run("quota", "fleet", "much") == 1
    assert "'much' is not a size" in capsys.readouterr().err
    assert run("quota", "fleet", "none") == 0
    assert capsys.readouterr().out == "fleet: no limit\n"
