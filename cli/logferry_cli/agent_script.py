"""The command `logferry-agent`, for hosts that run nothing but the agent."""

from __future__ import annotations

import sys

from logferry_cli.extras import missing_extra, missing_module
from logferry_cli.problems import Problem


def main() -> None:
    """Run the agent and exit with its status."""
    if missing_module("agent") is not None:
        problem = missing_extra("logferry-agent", "agent")
        sys.stderr.write(f"logferry-agent: {problem.sentence} {problem.advice}\n")
        sys.exit(problem.status)
    if sys.argv[1:2] in (["install"], ["uninstall"]):
        from logferry_cli.agent_install import main as install  # noqa: PLC0415 - only these commands need it

        try:
            sys.exit(install(sys.argv[1:]))
        except Problem as problem:
            sys.stderr.write(f"logferry-agent: {problem.sentence} {problem.advice}\n")
            sys.exit(problem.status)
    from logferry_agent.__main__ import main as run  # noqa: PLC0415 - without the extra it cannot be imported

    sys.exit(run())
