"""Compile the regular expressions that users write with RE2: linear time, bounded memory.

docs/patterns.md lists what RE2 refuses, what it reads differently from Python's `re`, and what to write instead.
"""

from __future__ import annotations

import re
from typing import Any, Final

import re2

from logferry_protocol.re2_syntax import explain

MAX_MEMORY: Final = 1 << 20
"""Bytes of one compiled pattern with its caches. Below 256 KiB, RE2 refuses reasonable patterns (2026-11)."""

MAX_CHARS: Final = 4_096
"""Characters of one pattern: more than anybody writes, and few enough to compile within milliseconds."""


class PatternError(ValueError):
    """RE2 does not accept a pattern."""

    def __init__(self, pattern: str, problem: str) -> None:
        self.pattern, self.problem = pattern, problem
        super().__init__(pattern, problem)

    def __str__(self) -> str:
        shown = self.pattern if len(self.pattern) <= 128 else self.pattern[:127] + "…"
        # Show the pattern as it is typed, without the doubled backslashes of `repr`, when all of it is printable.
        quoted = f"`{shown}`" if shown.isprintable() else ascii(shown)
        return f"{quoted} is not a regular expression of RE2: {self.problem}"


def compile_pattern(pattern: str, *, multi_line: bool = False) -> Any:
    r"""Compile a pattern that a user wrote.

    The result searches `bytes` and `str`. Give it `utf8(text)` when a text may hold lone surrogates.

    Args:
        pattern: a pattern in RE2's syntax.
        multi_line: `^` and `$` match at every line, not only at the ends of the text. `.` never matches a line feed,
            unless the pattern says `(?s)`.

    Raises:
        PatternError: RE2 does not accept the pattern.
    """
    if len(pattern) > MAX_CHARS:
        raise PatternError(pattern, f"it has {len(pattern):,} characters; at most {MAX_CHARS:,} are taken")
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    try:
        # Compile the pattern alone first: an unclosed group must not be closed by the prefix.
        compiled = re2.compile(pattern, options)
        return re2.compile(f"(?m){pattern}", options) if multi_line else compiled
    except UnicodeError:
        raise PatternError(pattern, "it holds half of a surrogate pair, which is no character") from None
    except (re2.error, re.error, OverflowError) as error:
        raise PatternError(pattern, explain(error)) from None


def utf8(text: str) -> bytes:
    """Return the text as RE2 reads it. Lone surrogates, for which UTF-8 has no bytes, do not raise."""
    return text.encode("utf-8", "surrogatepass")
