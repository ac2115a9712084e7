"""Make a change set with `sam deploy`, without executing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logferry_cli.deploy import programs
from logferry_cli.deploy.account import Account
from logferry_cli.problems import Problem
from logferry_cli.stack_sources import StackSources

NOTHING_TO_DO: Final = "No changes to deploy"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stack shall be."""

    stack: str
    values: Mapping[str, str]
    """The values of all parameters."""


def make_change_set(sources: StackSources, built: Path, account: Account, wanted: Wanted, log: Path) -> str | None:
    """Upload what was built, and make a change set.

    The sources' own samconfig.toml gives everything that is not named here, such as the capabilities.

    Returns:
        The ARN of the change set; None when nothing would change.

    Raises:
        Problem: `sam deploy` failed.
    """
    command: list[str | Path] = [
        *("sam", "deploy", "--config-file", sources.samconfig, "--template-file", built),
        *("--stack-name", wanted.stack, "--region", account.region),
        *("--resolve-s3", "--s3-prefix", artifact_prefix(wanted.stack)),
        *("--no-execute-changeset", "--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
        *("--parameter-overrides", *(quoted(name, value) for name, value in wanted.values.items())),
    ]
    programs.run(command, log, programs.environment(sources, account, {}), built.parent)
    text = log.read_text(encoding="utf-8", errors="replace")
    if found := next((word for word in text.split() if word.startswith("arn:") and ":changeSet/" in word), None):
        return found
    if NOTHING_TO_DO.lower() in text.lower():
        return None
    raise Problem("`sam deploy` named no change set.", f"Its whole output is in {log}.")


def artifact_prefix(stack: str) -> str:
    """Return the folder, in the SAM CLI's own bucket, of what this stack was built to."""
    return f"logferry/{stack}"


def quoted(name: str, value: str) -> str:
    """Return a parameter as the SAM CLI reads it whole: with spaces, quotes and backslashes, or empty."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
