"""Test that every command of the documentation is run by a test, or has the reason why not."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import pytest
from tests.support.documented_commands import (
    ROOT,
    TABLE,
    DocumentedCommand,
    commands_of,
    documented_commands,
    is_name,
    matches,
)

LITERAL_TEST: Final = "tests/integration/permissions/test_documented_commands.py"


@cache
def remaining() -> list[DocumentedCommand]:
    """Return the commands that no test runs as they stand."""
    return [command for command in documented_commands() if not command.literal]


def entries() -> dict[str, str]:
    return {**TABLE["run"], **TABLE["not_run"]}


def test_every_documented_command_is_run_or_has_a_reason() -> None:
    """Put a new one into documented_commands.toml, unless it is one that runs as it stands."""
    missing = [f"{command.page}: {command.text}" for command in remaining() if command.entry is None]
    assert missing == []


def test_table_has_no_entry_without_a_command() -> None:
    texts = [command.text for command in remaining()]
    assert [key for key in entries() if not any(matches(key, text) for text in texts)] == []
    assert set(TABLE["run"]) & set(TABLE["not_run"]) == set()


@pytest.mark.parametrize("key", TABLE["run"])
def test_named_test_exists(key: str) -> None:
    path, _, name = TABLE["run"][key].partition("::")
    source = (ROOT / path).read_text()
    assert not name or re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), name


def test_reasons_are_sentences() -> None:
    assert all(len(reason.split()) > 1 for reason in TABLE["not_run"].values())
    assert (ROOT / LITERAL_TEST).is_file()


def test_commands_are_found_in_blocks_and_in_text() -> None:
    """Otherwise the tests above check nothing."""
    found = {command.text for command in documented_commands()}
    assert {"logferry doctor --stack NAME --deep", "logferry verify JOB", "make demo"} <= found
    assert any(command.text.startswith("aws cloudformation list-stack-resources") for command in documented_commands())
    assert len(found) > 90


@pytest.mark.parametrize(
    ("code", "commands"),
    [
        ("    $ make demo", ["make demo"]),
        ("(cd web && npm ci && npm run build) && sam build", ["cd web", "npm ci", "npm run build", "sam build"]),
        (".venv/bin/logferry up  # a comment", ["logferry up"]),
        ("A=1 B=2 logferry agent", ["logferry agent"]),
        (r"logferry tail JOB \| head -3", ["logferry tail JOB"]),
        ("logferry.redact: all", []),
        ("Logs of three containers", []),
    ],
)
def test_line_is_split_into_its_commands(code: str, commands: list[str]) -> None:
    assert list(commands_of(code)) == commands


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("logferry keys create", True),
        ("logferry tail", True),
        ("logferry doctor", False),
        ("logferry keys list", False),
        ("docker run", True),
        ("docker run --rm image", False),
    ],
)
def test_name_of_a_command_is_no_command(text: str, name: bool) -> None:
    assert is_name(text) is name


def test_most_commands_are_run() -> None:
    """A list of reasons is easily made longer than the tests."""
    commands = documented_commands()
    run = sum(any(matches(key, command.text) for key in TABLE["run"]) for command in remaining())
    assert (len(commands) - len(remaining()) + run) / len(commands) > 0.6
