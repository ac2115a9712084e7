"""Test the command without its extras."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from logferry_cli import app as app_module
from logferry_cli import extras
from logferry_cli.app import COMMANDS, EXTRAS, build
from logferry_cli.extras import MODULES, missing_extra, missing_module
from logferry_cli.problems import Problem

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
NEEDING = [command for command, module in COMMANDS.items() if module in EXTRAS]


def distributions(extra: str) -> set[str]:
    """Return the distributions that an extra installs, with those of the extras that it includes."""
    found: set[str] = set()
    for line in PROJECT["optional-dependencies"][extra]:
        wanted = Requirement(line)
        found |= set().union(*map(distributions, wanted.extras)) if wanted.name == "logferry" else {wanted.name}
    return found


@pytest.fixture
def base_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every extra be missing."""
    monkeypatch.setattr(app_module, "missing_module", lambda extra: MODULES[extra][0])


@pytest.mark.parametrize("extra", MODULES)
def test_modules_of_an_extra_are_what_its_distributions_install(extra: str) -> None:
    """The table says that the extra is there when one of its packages is missing, if it misses that package."""
    from_module = {name.lower(): dists for name, dists in metadata.packages_distributions().items()}
    assert {canonicalize_name(dist) for name in MODULES[extra] for dist in from_module[name]} == distributions(extra)


def test_installed_extras_are_complete() -> None:
    assert [missing_module(extra) for extra in MODULES] == [None, None]


@pytest.mark.usefixtures("base_only")
@pytest.mark.parametrize("options", [(), ("--detach",), ("--help",)])
@pytest.mark.parametrize("command", NEEDING)
def test_command_without_its_extra_says_which_to_install(command: str, options: tuple[str, ...]) -> None:
    result = CliRunner().invoke(build([command]), [command, *options])
    assert isinstance(result.exception, Problem)
    assert result.exception.sentence.startswith(f"`logferry {command}` needs the extra `{EXTRAS[COMMANDS[command]]}`")
    assert result.exception.status != 0


@pytest.mark.usefixtures("base_only")
def test_help_lists_every_command_without_extras() -> None:
    assert set(typer.main.get_group(build([])).commands) == set(COMMANDS)


def test_commands_without_extras_import_nothing_of_them() -> None:
    """They are imported in a process in which what only the extras install cannot be found."""
    blocked = {*MODULES["local"], "logferry_agent", "logferry_local"}
    modules = sorted({f"logferry_cli.{module}" for module in COMMANDS.values() if module not in EXTRAS})
    program = (
        "import importlib, sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {modules}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ("uv-receipt.toml", "`uv tool install --force 'logferry[agent] @ file:///tmp/logferry.whl'`"),
        ("pipx_metadata.json", "`pipx install --force 'logferry[agent] @ file:///tmp/logferry.whl'`"),
        ("pyvenv.cfg", "-m pip install 'logferry[agent] @ file:///tmp/logferry.whl'`"),
    ],
)
def test_advice_names_the_program_and_file_of_the_installation(
    left: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / left).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(extras, "_origin", lambda: {"url": "file:///tmp/logferry.whl"})
    assert said in missing_extra("logferry agent", "agent").advice


def test_advice_names_the_package_alone_when_it_came_from_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_origin", dict)
    assert missing_extra("logferry agent", "agent").advice.endswith("install 'logferry[agent]'`.")


def test_advice_in_a_checkout_is_its_setup() -> None:
    assert "make setup" in missing_extra("logferry agent", "agent").advice
