"""The command line of Logferry.

One Typer application to which each module of commands adds its own, and where problems become one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

import typer

from logferry_cli.output import BROKEN_PIPE, OutputError, checked_output
from logferry_cli.problems import Problem
from logferry_local.errors import LocalCloudError

COMMANDS: Final = {
    "up": "local_cloud",
    "down": "local_cloud",
    "status": "local_cloud",
    "demo": "demo",
    "agent": "agent",
    "jobs": "jobs",
    "tail": "tail",
    "export": "export",
    "verify": "verify",
    "share": "shares",
    "delete": "shares",
    "keys": "keys",
    "roles": "roles",
    "quota": "roles",
    "doctor": "doctor",
    "replay": "replay",
}
"""Which module has which command. Each has `register(app)`; the order here is the order in `--help`."""


def build(words: Sequence[str]) -> typer.Typer:
    """The application for a command line.

    It has the one command that is named first, else all of them: importing what every module needs (boto3, aiohttp)
    would double the time that `logferry jobs` takes to start.
    """
    app = typer.Typer(
        name="logferry",
        help="Carries every line that a Docker container writes to the people who need to read it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    named = COMMANDS.get(words[0]) if words else None
    for module in dict.fromkeys([named] if named else COMMANDS.values()):
        import_module(f"logferry_cli.{module}").register(app)
    # With one command alone Typer would take the command's name for an argument; a callback keeps it a group.
    app.callback()(_group)
    return app


def _group() -> None:
    """Carries every line that a Docker container writes to the people who need to read it."""


def main() -> None:
    """The entry point: runs the command; a problem becomes one readable line on stderr and a non-zero exit status."""
    try:
        with checked_output():
            _run()
    except OutputError as error:
        if error.broken_pipe:
            # Who reads our output went away (`| head`): nothing to say, and nobody to say it to.
            sys.exit(BROKEN_PIPE)
        with suppress(OSError):  # it may be stderr that takes no more
            fail(f"The output cannot be written ({error.reason}).", "Is the disk full?", 1)
        sys.exit(1)


def _run() -> None:
    try:
        build(sys.argv[1:])()
    except Problem as problem:
        fail(problem.sentence, problem.advice, problem.status)
    except LocalCloudError as error:
        fail(error.sentence, error.advice, 1)


def fail(sentence: str, advice: str, status: int) -> None:
    """Prints the line and ends the process."""
    typer.echo(f"logferry: {sentence} {advice}".rstrip(), err=True)
    sys.exit(status)
