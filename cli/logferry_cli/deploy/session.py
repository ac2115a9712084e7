"""What both commands share: their options, the questions to the user, and where an interruption leaves the stack."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from logferry_cli.deploy.account import Account
from logferry_cli.deploy.answers import Answers, answers_file, load_answers, log_folder, save_answers
from logferry_cli.deploy.formation import POLL_S, Formation
from logferry_cli.problems import Problem

EMULATOR_POLL_S = 0.2

StackNameOption = Annotated[
    str, typer.Option("--stack", envvar="LOGFERRY_STACK", help="Name of the CloudFormation stack.", metavar="NAME")
]
RegionOption = Annotated[
    str | None, typer.Option("--region", help="AWS region; by default as the AWS CLI finds it.", metavar="REGION")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Profile of the AWS CLI's configuration.", metavar="NAME")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, for unattended use.")]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint-url", help="Use the AWS emulator at this address instead of AWS.", metavar="URL"),
]


@dataclass(frozen=True, slots=True)
class StackSession:
    """One stack of one account, and what is remembered of it."""

    account: Account
    formation: Formation
    answers: Answers

    @property
    def logs(self) -> Path:
        """The folder of the programs' output."""
        return log_folder(self.formation.stack, self.account.region)

    @property
    def answers_file(self) -> Path:
        """The file that remembers the answers."""
        return answers_file(self.formation.stack, self.account.region, self.account.number)

    @property
    def options(self) -> str:
        """The options that name this stack, for commands that are printed."""
        profile = self.account.profile
        words = ["--stack", self.formation.stack, "--region", self.account.region]
        return shlex.join(words if profile is None else [*words, "--profile", profile])

    def remember(self, answers: Answers) -> None:
        """Remember answers for the next deployment."""
        save_answers(self.answers_file, answers)


def open_stack(account: Account, stack: str) -> StackSession:
    """Return the session of a stack.

    Raises:
        Problem: The stack is another application's, or what is remembered of it cannot be read.
    """
    poll_s = POLL_S if account.endpoint_url is None else EMULATOR_POLL_S
    formation = Formation(account.client("cloudformation"), stack, poll_s)
    formation.check_template()
    return StackSession(account, formation, load_answers(answers_file(stack, account.region, account.number)))


class Dialogue:
    """The questions to the user. Unattended, none is asked."""

    def __init__(self, *, yes: bool) -> None:
        self.yes = yes
        self._console = Console(stderr=True, highlight=False)

    def require(self) -> None:
        """Check that somebody can answer, before anything is done.

        Raises:
            Problem: Nobody can, and `--yes` is not given.
        """
        if not self.yes and not sys.stdin.isatty():
            raise Problem("Nobody can answer questions here, as the input is no terminal.", "Add --yes.")

    def confirm(self, question: str) -> bool:
        """Ask a question whose answer is no unless the user says yes."""
        return self.yes or typer.confirm(question, err=True)

    def ask(self, name: str, description: str) -> str:
        """Ask for a value that has no default.

        Raises:
            Problem: Nothing may be asked.
        """
        if self.yes:
            raise Problem(f"{name} has no value ({description})", f"Give one with --parameter {name}=VALUE.")
        return str(typer.prompt(f"{name} ({description})", err=True))

    def say(self, text: str) -> None:
        """Show text on stderr, as it is."""
        self._console.print(text, markup=False, soft_wrap=True)


@contextmanager
def interruption_explained(state: str) -> Iterator[None]:
    """Say what an interruption of a block leaves behind.

    Args:
        state: The state of the stack then, as a sentence.

    Raises:
        Problem: The user pressed Ctrl-C.
    """
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):  # Abort is Ctrl-C at a question
        raise Problem(f"Interrupted. {state}", status=130) from None
