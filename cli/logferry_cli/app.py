"""The command line of Logferry.

One Typer application to which each module of commands adds its own, and where problems become one line.
"""

from __future__ import annotations

import os
import sys

import typer

from logferry_cli import agent, demo, doctor, export, jobs, keys, replay, tail, up, verify
from logferry_cli.problems import Problem
from logferry_local.errors import LocalCloudError

app = typer.Typer(
    name="logferry",
    help="Carries every line that a Docker container writes to the people who need to read it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Every module of commands has `register(app)`, which adds its commands; the order here is the order in `--help`.
for commands in (up, demo, agent, jobs, tail, export, verify, keys, doctor, replay):
    commands.register(app)


def main() -> None:
    """The entry point: runs the command; a problem becomes one readable line on stderr and a non-zero exit status."""
    try:
        app()
    except Problem as problem:
        fail(problem.sentence, problem.advice, problem.status)
    except LocalCloudError as error:
        fail(error.sentence, error.advice, 1)
    except BrokenPipeError:
        # Who reads our output went away (`| head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def fail(sentence: str, advice: str, status: int) -> None:
    """Prints the line and ends the process."""
    typer.echo(f"logferry: {sentence} {advice}".rstrip(), err=True)
    sys.exit(status)
