"""Collect the results of `logferry doctor`, and print each when it is known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import typer
from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli import aws_causes
from logferry_cli.api import TransientError
from logferry_cli.problems import Problem
from logferry_cli.terminal import sanitize_word


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    name: str
    outcome: str
    """`ok`, `warning`, `failed` or `skipped`."""
    detail: str = ""
    milliseconds: int = 0


class SkipError(Exception):
    """A check that cannot be made."""


class WarningError(Exception):
    """A check that succeeded, with something to look at."""


class Checkup:
    """Collects results, and prints each when it is known."""

    def __init__(self, *, quiet: bool) -> None:
        self.results: list[CheckResult] = []
        self._quiet = quiet

    @property
    def healthy(self) -> bool:
        """Whether no check failed."""
        return all(result.outcome != "failed" for result in self.results)

    @asynccontextmanager
    async def check(self, name: str, advice: str = "", *, optional: bool = False) -> AsyncIterator[list[str]]:
        """Make one check. A failure is recorded, and the next check follows.

        Args:
            name: The check's name.
            advice: What to do when it fails, where the error itself says nothing.
            optional: Whether the answer may stay unknown: a refusal of AWS is then a warning.

        Yields:
            A list. What is put into it is printed when the check succeeds.
        """
        said: list[str] = []
        began = monotonic()
        outcome = "ok"
        try:
            yield said
        except SkipError as skip:
            outcome, said = "skipped", [str(skip)]
        except WarningError as warning:
            outcome, said = "warning", [str(warning)]
        except Problem as problem:
            outcome, said = "failed", [problem.sentence, problem.advice or advice]
        except TransientError as trouble:
            outcome, said = "failed", [f"{trouble}.", advice]
        except ClientError as error:
            cause = aws_causes.of_aws(error)
            outcome, said = "failed", [cause.sentence, cause.advice]
            if optional and cause.sentence.startswith(aws_causes.AWS_REFUSED):
                outcome, said = "warning", ["unknown:", cause.sentence]
        except (BotoCoreError, OSError) as error:
            outcome, said = "failed", [f"{error}.", advice]
        detail = sanitize_word(" ".join(part for part in said if part))
        self.note(CheckResult(name, outcome, detail, round((monotonic() - began) * 1000)))

    def note(self, result: CheckResult) -> None:
        """Record a result, and print it."""
        self.results.append(result)
        if not self._quiet:
            mark = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}[result.outcome]
            typer.echo(f"{mark} {result.name:<28} {result.milliseconds:>6} ms  {result.detail}".rstrip())

    def failed(self, name: str) -> bool:
        """Return whether a check was tried and did not succeed."""
        return any(result.name == name and result.outcome in {"failed", "skipped"} for result in self.results)
