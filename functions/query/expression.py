"""Runs users' expressions on RE2, bounded in memory and in the cost of one call.

RE2 takes time linear in the text: at worst the product of the text's bytes and the program's instructions. A call
cannot be interrupted, so its worst case is estimated first.
"""

from collections.abc import Callable
from typing import Any, Final

import re2

from logferry_protocol.re2_syntax import explain

from .core import ParameterError

PATTERN_BYTES: Final = 8 * 1024 * 1024
"""Memory of a compiled expression: its program and RE2's cached states. Below 1 MiB, sensible ones are refused."""

PROGRAM_MOST: Final = 100_000
"""The most instructions of a compiled expression: one entry (16 KiB) is then searched whole in an answer's time.
`[^\\pL\\pN_]word[^\\pL\\pN_]` has 2,700, `\\pL{80}` 96,000."""

STEP_S: Final = 5e-9
"""Seconds for one byte and instruction at worst. Measured on 2026-11-30: up to 2 ns on a developer's machine (twelve
hostile expressions over five texts), and a function of 1,024 MB has 0.58 of such a CPU."""

CALL_INSTRUCTIONS: Final = 500
CALL_BYTES: Final = 64
"""Added to program and text: the fixed cost of a call, and small programs whose states never repeat (9 ns)."""

PART_S: Final = 0.5
"""Seconds of one call at worst, where a line is too long to be searched whole."""


MatchSpan = tuple[int, int]
"""Where a match begins and ends."""


class TextTooLongError(Exception):
    """A text could not be searched whole in the time left, and the searched part has no match."""


class Expression:
    """A compiled expression."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._step_s: float = (compiled.programsize + CALL_INSTRUCTIONS) * STEP_S

    @classmethod
    def of(cls, pattern: str, *, regex: bool, ignore_case: bool) -> "Expression":
        """Compile a user's expression, or a literal text.

        Raises:
            ParameterError: RE2 does not accept it, or it is too large. The message says what to write instead.
        """
        options = re2.Options()
        options.max_mem = PATTERN_BYTES
        options.log_errors = False
        options.case_sensitive = not ignore_case
        options.never_capture = True
        # "^" and "$" also match at the line feeds within an entry of several lines, as in the viewer.
        # The library caches the last 128 expressions with their memory, which could be a gigabyte of hostile ones.
        re2.purge()
        try:
            compiled = re2.compile(f"(?m){pattern}" if regex else re2.escape(pattern), options=options)
        except UnicodeError:
            raise ParameterError("q is not Unicode text: it contains half of a surrogate pair") from None
        except (re2.error, OverflowError) as error:
            raise ParameterError(f"q is not a regular expression of RE2: {explain(error)}") from None
        if compiled.programsize > PROGRAM_MOST:
            raise ParameterError(
                f"q is too large: it compiles to {compiled.programsize:,} instructions, {PROGRAM_MOST:,} at most; "
                "use smaller repetition counts, and fewer classes of letters in them"
            )
        return cls(compiled)

    def cost(self, text: str) -> float:
        """Return the seconds that one call over a text takes at worst."""
        return (size_of(text) + CALL_BYTES) * self._step_s

    def find(self, text: str, begin: int, end: int) -> MatchSpan | None:
        r"""Return the first match from `begin` to `end`. The text around them counts for `^`, `$` and `\b`."""
        match = self._compiled.search(text, begin, end)
        return None if match is None else match.span()

    def find_in_parts(self, text: str, begin: int, end: int, time_left: Callable[[], float]) -> MatchSpan:
        """Return the first match, searching overlapping parts of a text that costs too much at once.

        Raises:
            TextTooLongError: nothing was found. A match longer than half of a part may have been missed, or the time
                ran out.
        """
        encoded = text.encode()
        at, stop = len(text[:begin].encode()), len(text[:end].encode())
        size = max(2, int(PART_S / self._step_s) - CALL_BYTES)
        while at < stop and time_left() > PART_S:
            match = self._compiled.search(encoded, at, min(stop, at + size))
            if match is not None:
                return _characters(encoded, match.start()), _characters(encoded, match.end())
            at += size // 2
            while at < stop and encoded[at] & 0xC0 == 0x80:
                at += 1
        raise TextTooLongError


def _characters(encoded: bytes, at: int) -> int:
    return len(encoded[:at].decode(errors="ignore"))


def size_of(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
