"""Test the command line as a whole."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer

from logferry_cli.app import COMMANDS, build


def names(app: typer.Typer) -> set[str]:
    """Return the commands that an application has."""
    return set(typer.main.get_group(app).commands)


def test_command_table_names_every_command() -> None:
    """Otherwise only --help would show a missing one."""
    assert names(build([])) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_in_its_module(command: str) -> None:
    """Naming a command imports that module and no other."""
    assert command in names(build([command]))
    assert hasattr(import_module(f"logferry_cli.{COMMANDS[command]}"), "register")


def test_reader_commands_do_not_import_operator_libraries() -> None:
    """boto3 and aiohttp take longer to import than `logferry jobs` takes to answer."""
    program = (
        "import sys; from logferry_cli.app import build; build(['jobs']); build(['tail']); build(['export']);"
        "sys.exit(bool({'boto3', 'aiohttp', 'docker', 'logferry_agent'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
