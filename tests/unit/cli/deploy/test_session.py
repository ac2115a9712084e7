"""Test what the commands say and hand on of a stack's account and region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.clouds import REGION, SECRETS

from logferry_cli.deploy import programs
from logferry_cli.deploy.account import Account
from logferry_cli.deploy.answers import Answers
from logferry_cli.deploy.formation import Formation
from logferry_cli.deploy.session import StackSession
from logferry_cli.stack_sources import StackSources


def account(profile: str | None = None) -> Account:
    session = boto3.Session(**SECRETS)
    return Account(session, None, REGION, "123456789012", "arn:aws:iam::123456789012:root", "aws", profile)


def test_named_profile_comes_before_keys_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the SAM CLI deploys to the account of the keys, and the command to that of the profile."""
    sources, with_profile, without = StackSources(tmp_path, is_checkout=False), account("production"), account()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "other")
    named = programs.environment(sources, with_profile, {})
    assert named["AWS_PROFILE"] == "production"
    assert not programs.OTHER_CREDENTIALS & named.keys()
    assert programs.environment(sources, without, {})["AWS_ACCESS_KEY_ID"] == "AKIAOTHER"


def test_printed_commands_name_region_and_profile() -> None:
    """The shell where they are pasted may have others, in which another stack has the same name."""
    client: Any = None
    session = StackSession(account("my profile"), Formation(client, "logs"), Answers())
    assert session.options == f"--stack logs --region {REGION} --profile 'my profile'"
    assert StackSession(account(), Formation(client, "logs"), Answers()).options == f"--stack logs --region {REGION}"
