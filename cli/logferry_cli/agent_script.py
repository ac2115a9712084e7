"""The command `logferry-agent`, for hosts that run nothing but the agent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from logferry_cli.extras import missing_extra, missing_module
from logferry_cli.problems import Problem


def main() -> None:
    """Run the agent and exit with its status."""
    try:
        sys.exit(_run(sys.argv[1:]))
    except Problem as problem:
        sys.stderr.write(f"logferry-agent: {problem.sentence} {problem.advice}\n")
        sys.exit(problem.status)


def _run(arguments: Sequence[str]) -> int:
    if missing_module("agent") is not None:
        raise missing_extra("logferry-agent", "agent")
    if arguments and arguments[0] in {"install", "uninstall"}:
        from logferry_cli.agent_install import main as install  # noqa: PLC0415 - only these commands need it

        return install(arguments)
    from logferry_agent.__main__ import main as run  # noqa: PLC0415 - without the extra it cannot be imported

    return run(arguments)
