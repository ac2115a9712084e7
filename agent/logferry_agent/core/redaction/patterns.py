"""Regular expressions that users write, compiled by RE2: in time linear in the text, and with bounded memory.

What RE2 refuses, what it reads otherwise than Python's `re`, and what to write instead: docs/patterns.md.
"""

from __future__ import annotations

import re
from typing import Any, Final

import re2

from logferry_protocol.re2_syntax import explain

MAX_MEMORY: Final = 1 << 20
"""Bytes of one compiled pattern with its caches. Below 256 KiB RE2 refuses reasonable patterns (2026-11)."""

MAX_CHARS: Final = 4_096
"""Of one pattern: more than anybody writes, and few enough to compile within milliseconds."""


class PatternError(ValueError):
    """RE2 does not take a pattern."""

    def __init__(self, pattern: str, problem: str) -> None:
        self.pattern, self.problem = pattern, problem
        super().__init__(pattern, problem)

    def __str__(self) -> str:
        shown = self.pattern if len(self.pattern) <= 128 else self.pattern[:127] + "…"
        # As it is typed, so without the doubled backslashes of `repr`, where it can be shown so.
        quoted = f"`{shown}`" if shown.isprintable() else ascii(shown)
        return f"{quoted} is not a regular expression of RE2: {self.problem}"


def compile_pattern(pattern: str, *, multi_line: bool = False) -> Any:
    r"""Compile a pattern that a user wrote.

    The result searches `bytes` and `str`; give it `utf8(text)` where a text may hold lone surrogates.

    Args:
        pattern: in RE2's syntax.
        multi_line: `^` and `$` are every line's, not the whole text's. `.` never matches a line feed, unless the
            pattern says `(?s)`.

    Raises:
        PatternError: RE2 does not take it.
    """
    if len(pattern) > MAX_CHARS:
        raise PatternError(pattern, f"it has {len(pattern):,} characters; at most {MAX_CHARS:,} are taken")
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    try:
        # First as it is: what is not closed in it must not be closed by what is put before it.
        compiled = re2.compile(pattern, options)
        return re2.compile(f"(?m){pattern}", options) if multi_line else compiled
    except UnicodeError:
        raise PatternError(pattern, "it holds half of a surrogate pair, which is no character") from None
    except (re2.error, re.error, OverflowError) as error:
        raise PatternError(pattern, explain(error)) from None


def utf8(text: str) -> bytes:
    """Return the text as RE2 reads it; lone surrogates, which UTF-8 has no bytes for, do not raise."""
    return text.encode("utf-8", "surrogatepass")
