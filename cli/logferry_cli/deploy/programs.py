"""Run the programs of a deployment: find them, give them an environment, keep their output in a log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from logferry_cli.deploy.account import Account
from logferry_cli.deploy.requirements import Finding, check_tool, needed_tools
from logferry_cli.problems import Problem
from logferry_cli.stack_sources import StackSources
from logferry_state.logged_programs import run_logged

EMULATOR_POLL_S: Final = "0.1"
"""SAM looks at a stack every 5 s, which on an emulator would be most of the time."""
OTHER_CREDENTIALS: Final = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_DEFAULT_PROFILE"}
)
"""Variables that come before AWS_PROFILE. A profile that is named on the command line comes before them."""


def search_path(sources: StackSources) -> str:
    """Return the folders in which programs are looked for: the user's, this installation's, the checkout's."""
    folders = [os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    if sources.is_checkout:
        folders += [str(sources.root / ".venv-sam" / "bin"), str(sources.root / ".venv-tools" / "bin")]
    return os.pathsep.join(folders)


def check_tools(sources: StackSources, *, builds_viewer: bool) -> list[Finding]:
    """Return the findings on all programs that a deployment calls."""
    path = search_path(sources)
    return [
        check_tool(name, _version_answer(shutil.which(name, path=path)), least)
        for name, least in needed_tools(builds_viewer=builds_viewer).items()
    ]


def _version_answer(program: str | None) -> str | None:
    if program is None:
        return None
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""


def environment(sources: StackSources, account: Account | None, more: Mapping[str, str]) -> dict[str, str]:
    """Return the user's environment, without what would change SAM's or Python's behaviour, for an account's region."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SAM_CLI_", "VIRTUAL_ENV", "PYTHON"))
    }
    made = {**kept, "PATH": search_path(sources), "SAM_CLI_TELEMETRY": "0", **more}
    if account is None:
        return made
    made |= {"AWS_REGION": account.region, "AWS_DEFAULT_REGION": account.region}
    if account.profile is not None:
        made = {name: value for name, value in made.items() if name not in OTHER_CREDENTIALS}
        made["AWS_PROFILE"] = account.profile
    if account.endpoint_url is not None:
        made |= {"AWS_ENDPOINT_URL": account.endpoint_url, "SAM_CLI_POLL_DELAY": EMULATOR_POLL_S}
    return made


def run(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Run a program, with its output in a log.

    Raises:
        Problem: It failed. The sentence has what it said of the failure.
    """
    name = " ".join(Path(word).name if at == 0 else str(word) for at, word in enumerate(command[:2]))
    program = shutil.which(str(command[0]), path=environment["PATH"]) or str(command[0])
    if (message := run_logged([program, *command[1:]], log, environment, cwd)) is not None:
        raise Problem(f"`{name}` failed: {message}", f"Its whole output is in {log}.")
