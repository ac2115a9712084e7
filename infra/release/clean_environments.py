"""Install the wheel as a user does, in environments that have nothing of this checkout, and use it there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from infra.release.artefacts import ROOT, UV
from infra.release.programs import DistError, attempt, run

from logferry_cli.app import COMMANDS, EXTRAS

KEPT: Final = re.compile(r"(PIP|UV)_.*|.*_PROXY|.*_CA_BUNDLE|SSL_CERT_(FILE|DIR)", re.IGNORECASE)
"""The variables that a clean environment keeps: how this machine reaches its package index."""
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
BASE: Final = ""
"""The command alone, without an extra."""
INSTALLED_EXTRAS: Final = (BASE, "agent", "local")
NEEDING: Final = {
    **{f"logferry {command}": EXTRAS[module] for command, module in COMMANDS.items() if module in EXTRAS},
    "logferry-agent": "agent",
}
"""The commands that need an extra, with the extra."""
READING: Final = ("jobs", "tail web", "export web --format jsonl", "verify web", "share list web")
OPERATING: Final = ("keys list", "roles list", "doctor")


@dataclass(frozen=True, slots=True)
class Installation:
    """The installed command: where it is, the environment to run it in, and what it was installed with."""

    programs: Path
    environment: Mapping[str, str]
    extra: str

    def run(self, words: str) -> str:
        """Run a command of the package and return its stdout.

        Raises:
            DistError: It failed.
        """
        program, *arguments = words.split()
        return run([self.programs / program, *arguments], cwd=self.programs, env=self.environment)

    def refusal(self, words: str) -> str:
        """Run a command that cannot work, and return the line that it prints on stderr.

        Raises:
            DistError: It worked, or printed something else.
        """
        program, *arguments = words.split()
        done = attempt([self.programs / program, *arguments], cwd=self.programs, env=self.environment)
        lines = done.stderr.strip().splitlines()
        if done.returncode == 0 or len(lines) != 1:
            raise DistError(f"`{words}` ended with {done.returncode}, not with one line:\n{done.stdout}{done.stderr}")
        return lines[0]


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment with a home folder of its own, without this checkout's programs and settings."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    home.mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "UV_PYTHON_DOWNLOADS": "never",
        # A user's own AWS account must never be asked.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def with_uv(wheel: Path, extra: str, home: Path) -> Installation:
    """Install with `uv tool install`."""
    environment = clean_environment(home)
    run([UV, "tool", "install", "--quiet", requirement(wheel, extra)], env=environment)
    return Installation(home / ".local" / "bin", environment, extra)


def with_pipx(wheel: Path, extra: str, home: Path, pipx: Path) -> Installation:
    """Install with `pipx install`."""
    environment = clean_environment(home)
    run([pipx, "install", "--quiet", requirement(wheel, extra)], env=environment)
    return Installation(home / ".local" / "bin", environment, extra)


def with_lowest_versions(wheel: Path, extra: str, home: Path) -> Installation:
    """Install the lowest versions that pyproject.toml allows, into a virtual environment."""
    environment = clean_environment(home)
    run([UV, "venv", "--quiet", home / "lowest"], env=environment)
    python = home / "lowest" / "bin" / "python"
    # From pyproject.toml, because of a wheel's requirements uv takes the newest: only the wheel itself is a direct one.
    wanted = ("--requirement", ROOT / "pyproject.toml", *(("--extra", extra) if extra else ()))
    run([*_pip_install(python), "--resolution", "lowest-direct", *wanted], env=environment)
    run([*_pip_install(python), "--no-deps", wheel], env=environment)
    return Installation(python.parent, environment, extra)


def _pip_install(python: Path) -> list[str | Path]:
    return [UV, "pip", "install", "--quiet", "--python", python]


def make_pipx(folder: Path) -> Path:
    """Install pipx into a folder and return the program."""
    environment = clean_environment(folder / "home")
    run([UV, "venv", "--quiet", folder / "venv"], env=environment)
    wanted = ROOT / "requirements" / "dist.txt"
    python = folder / "venv" / "bin" / "python"
    run([UV, "pip", "sync", "--quiet", "--require-hashes", "--python", python, wanted], env=environment)
    return python.parent / "pipx"


def requirement(wheel: Path, extra: str) -> str:
    """Return how the wheel is named to an installer."""
    return f"{wheel}[{extra}]" if extra else str(wheel)


def package(extra: str) -> str:
    """Return the package's name with an extra."""
    return f"logferry[{extra}]" if extra else "logferry"


def check(installed: Installation, version: str) -> None:
    """Check the version of an installation, and that commands of extras run or say which is missing.

    Raises:
        DistError: A command did not do what it should.
    """
    said = installed.run("logferry --version").strip()
    if said != f"logferry {version}":
        raise DistError(f"`logferry --version` printed {said!r}, not the version {version}.")
    for command, extra in NEEDING.items():
        _check_extra(installed, command, extra, version)


def check_commands(installed: Installation) -> None:
    """Ask every command for its help, and those that need a cloud to run without one.

    Raises:
        DistError: A command did not do what it should.
    """
    installed.run("logferry --help")
    for command in COMMANDS:
        if installed.extra == "local" or f"logferry {command}" not in NEEDING:
            installed.run(f"logferry {command} --help")
    for words in (*READING, *OPERATING):
        if "logferry up" not in (line := installed.refusal(f"logferry {words}")):
            raise DistError(f"`logferry {words}` without a cloud printed: {line}")


def follow_advice(installed: Installation, command: str, uv_or_pipx: Path) -> Installation:
    """Add an extra as the command that needs it says.

    Args:
        installed: An installation without that extra.
        command: The command.
        uv_or_pipx: The program that the advice names.

    Raises:
        DistError: The advice does not name that program, or it failed.
    """
    line = installed.refusal(command)
    program, *words = shlex.split(_advised(line)) or [""]
    if program != uv_or_pipx.name:
        raise DistError(f"`{command}` does not say how to install its extra with {uv_or_pipx.name}: {line}")
    run([uv_or_pipx, *words], env=installed.environment)
    return replace(installed, extra=NEEDING[command])


def check_local_cloud(installed: Installation, state: Path) -> None:
    """Start the local cloud from an installation, without an agent, read from it, and stop it.

    Raises:
        DistError: A command failed.
    """
    environment = {**installed.environment, "LOGFERRY_STATE": str(state)}
    local = replace(installed, environment=environment)
    try:
        local.run("logferry up --detach --no-agent")
        local.run("logferry status")
        local.run("logferry jobs")
    finally:
        local.run("logferry down")


def _advised(line: str) -> str:
    """Return the command in backticks that installs something; "" if there is none."""
    return next((command for command in line.split("`")[1::2] if " install " in command), "")


def _check_extra(installed: Installation, command: str, extra: str, version: str) -> None:
    """Check that a command runs where its extra is installed, and names it elsewhere."""
    if installed.extra not in (extra, "local"):
        line = installed.refusal(command)
        if f"extra `{extra}`" not in line or not _advised(line):
            raise DistError(f"`{command}` without its extra printed: {line}")
    elif extra == "agent":
        if installed.run(f"{command} --version").strip() != version:
            raise DistError(f"`{command} --version` did not print {version}.")
        _check_service(installed, command)


def _check_service(installed: Installation, command: str) -> None:
    """Write the agent's service below a folder, and check that it runs this installation."""
    folder = Path(installed.environment["HOME"]) / "service"
    folder.mkdir(exist_ok=True)
    key = folder / "key"
    key.write_text(f"lfa_{'a' * 12}_{'b' * 43}\n")
    installed.run(f"{command} install --root {folder} --agents-url wss://agents.example/live --key-file {key}")
    unit = (folder / "etc" / "systemd" / "system" / "logferry-agent.service").read_text()
    found = re.search(r"^ExecStart=(\S+) -I -m logferry_agent$", unit, re.MULTILINE)
    if found is None or attempt([found[1], "-I", "-m", "logferry_agent", "--version"], env={}).returncode != 0:
        raise DistError(f"The service that `{command} install` writes does not run this installation:\n{unit}")
    installed.run(f"{command} uninstall --root {folder} --purge --yes")
