"""Test the texts of the agent's systemd service."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_cli.systemd_unit import (
    STATE_FOLDER,
    UnitOptions,
    environment_text,
    parse_environment,
    unit_text,
    user_of,
)

OPTIONS = UnitOptions((sys.executable, "-I", "-m", "logferry_agent"), "/etc/logferry/agent.env")
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


@given(st.dictionaries(st.from_regex(r"LOGFERRY_[A-Z_]{1,9}", fullmatch=True), PRINTABLE))
def test_environment_is_read_back_as_it_was_written(variables: dict[str, str]) -> None:
    """Patterns contain quotes, backslashes and dollar signs."""
    assert parse_environment(environment_text(variables)) == variables


def test_environment_edited_by_people_is_understood() -> None:
    """Comments are left out, and variables of other programs stay."""
    text = (
        "# a comment\n\nLOGFERRY_REDACT=all\n; another\nHTTPS_PROXY='http://proxy:3128'\n LOGFERRY_HOST = a b \nwords\n"
    )
    assert parse_environment(text) == {
        "LOGFERRY_REDACT": "all",
        "HTTPS_PROXY": "http://proxy:3128",
        "LOGFERRY_HOST": "a b",
    }


def test_control_character_in_a_setting_is_refused() -> None:
    """It could begin a line of its own, with another variable."""
    with pytest.raises(ValueError, match="LOGFERRY_HOST: a control character"):
        environment_text({"LOGFERRY_HOST": "a\nLOGFERRY_AGENT_KEY=x"})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        UnitOptions(OPTIONS.command, OPTIONS.environment, "daemon", "adm", "/srv/a spool 100%"),
    ],
)
def test_systemd_finds_nothing_wrong_with_the_unit(options: UnitOptions, tmp_path: Path) -> None:
    """It names settings that it does not know."""
    unit = tmp_path / "logferry-agent.service"
    unit.write_text(unit_text(options))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "logferry" in line]) == (0, [])


def test_unit_takes_every_right_from_the_agent_that_it_does_not_need() -> None:
    """As its container does."""
    lines = unit_text(OPTIONS).splitlines()
    needed = {
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        "LimitNOFILE=65536",
        "MemoryMax=256M",
        "Restart=always",
        "RestartPreventExitStatus=2",
        "StateDirectoryMode=0700",
        "User=root",
    }
    assert needed <= set(lines)
    assert not any(line.startswith("ReadWritePaths") for line in lines), "systemd makes the spool's folder"


def test_spool_in_another_folder_may_be_written() -> None:
    """Everything else is read-only."""
    unit = unit_text(UnitOptions(OPTIONS.command, OPTIONS.environment, spool="/srv/my spool"))
    assert 'ReadWritePaths="/srv/my spool"' in unit
    assert STATE_FOLDER not in unit


def test_program_in_an_odd_folder_is_quoted() -> None:
    """Spaces would split it, and systemd replaces % and $."""
    unit = unit_text(UnitOptions(('/opt/a b/100%/"x"/$HOME/python', "-I"), OPTIONS.environment))
    assert 'ExecStart="/opt/a b/100%%/\\"x\\"/$$HOME/python" -I\n' in unit


def test_user_of_an_installed_unit_is_found() -> None:
    """A repeated installation keeps it."""
    assert user_of(unit_text(UnitOptions(OPTIONS.command, OPTIONS.environment, "logs", "docker"))) == "logs"
    assert user_of("") is None
