"""The command line of Logferry.

Each module of commands adds its own to one Typer application. Problems are printed as one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from logferry_cli.extras import missing_extra, missing_module
from logferry_cli.output import BROKEN_PIPE, OutputError, checked_output
from logferry_cli.problems import Problem
from logferry_protocol import __version__
from logferry_protocol.errors import VALUE_ERROR
from logferry_state.errors import LocalCloudError

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
    "deploy": "deploy.command",
    "destroy": "deploy.destroy_command",
    "doctor": "doctor",
    "replay": "replay",
    "cost": "cost",
}
"""The module of each command. Each has `register(app)`; the order here is the order in `--help`."""

EXTRAS: Final = {"local_cloud": "local", "demo": "local", "agent": "agent"}
"""The extra that the commands of a module need; other modules need none."""


class _Commands(TyperGroup):
    """The commands, with errors about options in words for their user."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command. Typer passes on what pydantic says of a value that is not one of an option's choices."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix(VALUE_ERROR)
            raise


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"logferry {__version__}")
        raise typer.Exit


def build(words: Sequence[str]) -> typer.Typer:
    """Build the application for a command line.

    It has only the command that is named first, else all of them. Importing what every module needs (boto3, aiohttp)
    would double the start time of `logferry jobs`.
    """
    app = typer.Typer(
        name="logferry",
        cls=_Commands,
        help="Stream the logs of Docker containers to the people who read them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in _modules(words):
        extra = EXTRAS.get(module)
        if extra is not None and missing_module(extra) is not None:
            _register_missing(app, module, extra)
        else:
            import_module(f"logferry_cli.{module}").register(app)
    # With a single command, Typer would take the command's name for an argument. A callback keeps it a group.
    app.callback()(_group)
    return app


def _modules(words: Sequence[str]) -> list[str]:
    """Return the modules that a command line needs: its command's, none for the version, else all."""
    if list(words[:1]) == ["--version"]:
        return []
    named = COMMANDS.get(words[0]) if words else None
    return [named] if named else list(dict.fromkeys(COMMANDS.values()))


def _register_missing(app: typer.Typer, module: str, extra: str) -> None:
    """Add the commands of a module whose extra is not installed. Each says how to install it, whatever its options."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name in (name for name, found in COMMANDS.items() if found == module):

        def refuse(context: typer.Context) -> None:
            raise missing_extra(f"logferry {context.info_name}", extra)

        app.command(name, context_settings=passed_on, help=f"Not installed: needs the extra `{extra}`.")(refuse)


def _group(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Stream the logs of Docker containers to the people who read them."""


def main() -> None:
    """Run the command. A problem becomes one line on stderr and a non-zero exit status."""
    try:
        with checked_output():
            _run()
    except OutputError as error:
        if error.broken_pipe:
            # The reader of the output went away (`| head`), so there is nobody to tell.
            sys.exit(BROKEN_PIPE)
        with suppress(OSError):  # stderr itself may not be writable
            fail(f"The output cannot be written ({error.reason}).", "Check that the disk is not full.", 1)
        sys.exit(1)


def _run() -> None:
    try:
        build(sys.argv[1:])()
    except Problem as problem:
        fail(problem.sentence, problem.advice, problem.status)
    except LocalCloudError as error:
        fail(error.sentence, error.advice, 1)


def fail(sentence: str, advice: str, status: int) -> None:
    """Print a problem on stderr and exit."""
    typer.echo(f"logferry: {sentence} {advice}".rstrip(), err=True)
    sys.exit(status)
