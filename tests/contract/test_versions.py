"""Test that the version stands in one place and that everything else takes it from there."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from logferry_agent.__main__ import main as agent
from logferry_cli.app import build
from logferry_protocol import __version__

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_package_has_the_version() -> None:
    assert metadata.version("logferry") == __version__


def test_command_prints_the_version() -> None:
    result = CliRunner().invoke(build(["--version"]), ["--version"])
    assert (result.output, result.exit_code) == (f"logferry {__version__}\n", 0)


def test_version_imports_no_command() -> None:
    """It would take a second longer."""
    program = (
        "import sys; from logferry_cli.app import build; build(['--version']);"
        "sys.exit(any(f'logferry_cli.{name}' in sys.modules for name in ('jobs', 'keys', 'verify')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_agent_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        agent(["--version"])
    assert (exited.value.code, capsys.readouterr().out.strip()) == (0, __version__)


def test_version_stands_in_one_place() -> None:
    """A file that repeats it would be forgotten at a release."""
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in json.loads((ROOT / "web" / "package.json").read_text())
    repeated = [
        path.relative_to(ROOT).as_posix()
        for folder in ("agent", "cli", "functions", "infra", "protocol")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and f'"{__version__}"'.encode() in path.read_bytes()
    ]
    assert repeated == ["protocol/logferry_protocol/__init__.py"]


def test_backend_that_builds_the_wheel_is_the_locked_one() -> None:
    """The same sources give the same bytes only with the same hatchling."""
    locked = re.search(r"^hatchling==\S+", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert PYPROJECT["build-system"]["requires"] == [locked[0]]
