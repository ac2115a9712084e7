"""Show steps of a command: what is being done, then that it is done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.status import Status

LOG_EVERY_S: Final = 30.0


class ShownStep:
    """A step whose final text may be changed while it runs."""

    def __init__(self, text: str, show: Callable[[str], None] = lambda _: None) -> None:
        self.text, self._show = text, show

    def set_text(self, text: str) -> None:
        """Set what is shown once the step is done."""
        self.text = text

    def tell(self, text: str) -> None:
        """Show how far the step is: at once on a terminal, else every half minute."""
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
                step = ShownStep(doing, self._teller(doing, status))
                yield step
        except BaseException as error:
            sign = "[yellow]-[/] interrupted:" if isinstance(error, KeyboardInterrupt) else "[red]✗[/]"
            self.console.print(f"{sign} {doing}", soft_wrap=True)
            raise
        self.console.print(f"[green]✓[/] {step.text} [dim]{time.monotonic() - began:.1f} s[/]", soft_wrap=True)

    def _teller(self, doing: str, status: Status) -> Callable[[str], None]:
        """Return what shows how far a step is. A log gets few lines, so that it is no wall of them."""
        last = time.monotonic()

        def tell(text: str) -> None:
            nonlocal last
            if self.console.is_terminal:
                status.update(f"{doing}: {text}")
            elif time.monotonic() - last >= LOG_EVERY_S:
                last = time.monotonic()
                self.console.print(f"  {doing}: {text}", markup=False, soft_wrap=True)

        return tell
