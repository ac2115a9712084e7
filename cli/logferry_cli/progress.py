"""Show steps of a command: what is being done, then that it is done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class ShownStep:
    """A step whose final text may be changed while it runs."""

    def __init__(self, text: str) -> None:
        self.text = text

    def set_text(self, text: str) -> None:
        """Set what is shown once the step is done."""
        self.text = text


class Steps:
    """Shows steps on stderr, so that stdout holds only output for programs.

    A terminal gets a spinner, anything else plain lines.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    @contextmanager
    def __call__(self, doing: str) -> Iterator[ShownStep]:
        """Show one step. When the block raises, the line says that it failed and the exception goes on."""
        step, began = ShownStep(doing), time.monotonic()
        try:
            with self.console.status(doing):
                yield step
        except BaseException as error:
            sign = "[yellow]-[/] interrupted:" if isinstance(error, KeyboardInterrupt) else "[red]✗[/]"
            self.console.print(f"{sign} {doing}", soft_wrap=True)
            raise
        self.console.print(f"[green]✓[/] {step.text} [dim]{time.monotonic() - began:.1f} s[/]", soft_wrap=True)
