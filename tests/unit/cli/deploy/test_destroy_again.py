"""Test that `logferry destroy`, run again, does what an interrupted run left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from tests.support.clouds import REGION, SECRETS

from logferry_cli.deploy.account import Account
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.answers import Answers, load_answers
from logferry_cli.deploy.destroy_command import destroy
from logferry_cli.deploy.formation import Formation
from logferry_cli.deploy.session import StackSession
from logferry_cli.problems import Problem

KEPT = KeptData("LogTable", "RegistryTable", "archive")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackSession]:
    """Provide the session of a stack that is gone, as `destroy` opens it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name.upper(), value)
    with mock_aws():
        account = Account(
            boto3.Session(**SECRETS), None, REGION, "123456789012", "arn:aws:iam::123456789012:root", "aws"
        )
        yield StackSession(account, Formation(account.client("cloudformation"), "logs", 0), Answers())


def test_log_groups_of_a_removed_stack_are_deleted_and_its_data_stays_known(session: StackSession) -> None:
    logs = session.account.client("logs")
    for name in ("logs-QueryLog", "/aws/lambda/other"):
        logs.create_log_group(logGroupName=name)
    session.remember(Answers(kept=KEPT, log_groups=("logs-QueryLog", "gone")))
    destroy(stack="logs", region=REGION, yes=True)
    assert [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]] == ["/aws/lambda/other"]
    assert load_answers(session.answers_file) == Answers(kept=KEPT)


def test_log_groups_alone_are_reason_enough_and_then_nothing_is_known(session: StackSession) -> None:
    session.account.client("logs").create_log_group(logGroupName="logs-QueryLog")
    session.remember(Answers(log_groups=("logs-QueryLog",)))
    destroy(stack="logs", region=REGION, yes=True)
    with pytest.raises(Problem, match="There is no stack logs"):
        destroy(stack="logs", region=REGION, yes=True)
