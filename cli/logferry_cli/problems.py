"""The error of a command: one sentence, and what to do about it."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - read as what it is: `raise Problem("There is no job …")`
    """Ends the command with exit status `status`, after printing `sentence` and `advice` on one line of stderr.

    No stack trace is printed.
    """

    def __init__(self, sentence: str, advice: str = "", *, status: int = 1) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.advice = advice
        self.status = status
