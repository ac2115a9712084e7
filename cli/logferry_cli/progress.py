"""Show steps of a command: what is being done, then that it is done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class ShownStep:
    """A step whose final text may be changed while it runs."""

    def __init__(self, text: str, show: Callable[[str], None] = lambda _: None) -> None:
        self.text, self._show = text, show

    def set_text(self, text: str) -> None:
        """Set what is shown once the step is done."""
        self.text = text

    def tell(self, text: str) -> None:
        """Show how far the step is. Only a terminal shows it."""
        self._show(text)


class Steps:
    """Shows steps on stderr, so that stdout holds only output for programs.

    A terminal gets a spinner, anything else plain lines.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    @contextmanager
    def __call__(self, doing: str) -> Iterator[ShownStep]:
        """Show one step. When the block raises, the line says that it failed and the exception goes on."""
        began = time.monotonic()
        try:
            with self.console.status(doing) as status:
                step = ShownStep(doing, lambda text: status.update(f"{doing}: {text}"))
                yield step
        except BaseException as error:
            sign = "[yellow]-[/] interrupted:" if isinstance(error, KeyboardInterrupt) else "[red]✗[/]"
            self.console.print(f"{sign} {doing}", soft_wrap=True)
            raise
        self.console.print(f"[green]✓[/] {step.text} [dim]{time.monotonic() - began:.1f} s[/]", soft_wrap=True)
