"""Explains why RE2 refuses an expression, and what to write instead.

Users' expressions run on RE2, whose time is linear in the text. RE2 has nothing that needs backtracking, and writes
some constructs differently from Python and JavaScript.
"""

import re
from typing import Final

_ADVICE: Final[tuple[tuple[str, str], ...]] = (
    (
        r"invalid perl operator: \(\?<?[=!]",
        "RE2 cannot look ahead or behind; match the surrounding text itself, and put what you want in a group",
    ),
    (r"invalid perl operator: \(\?>", "RE2 has no atomic groups and needs none, as it never backtracks; write (?:…)"),
    (r"invalid perl operator: \(\?\(", "RE2 has no conditionals; write both cases as (?:…|…)"),
    (r"invalid perl operator: \(\?#", "RE2 has no comments; leave the comment out"),
    (
        r"invalid perl operator: \(\?[a-zA-Z^-]*x",
        "RE2 has no verbose mode; leave the flag, the spaces and the comments out",
    ),
    (
        r"invalid perl operator: \(\?(?:P$|[&R])",
        "RE2 has no references to groups; write the repeated expression out",
    ),
    (
        r"invalid perl operator: \(\?[auL]",
        r"RE2 has the flags i, m, s and U only; \w, \d, \s and \b are ASCII in it, and \pL is any letter",
    ),
    (r"invalid perl operator", "RE2 has the groups (…), (?:…), (?P<name>…) and the flags i, m, s and U only"),
    (r"invalid escape sequence: \\(?:[1-9]|k|g)", "RE2 has no references to groups; write the repeated text out"),
    (r"invalid escape sequence: \\Z", r"write \z, the end of the text"),
    (r"invalid escape sequence: \\[uU]", r"write a character's number as \x{…}: \x{e9} instead of \u00e9"),
    (r"invalid escape sequence: \\N", r"RE2 has no names of characters; write the number as \x{…}"),
    (r"invalid escape sequence: \\e", r"write \x1b"),
    (r"invalid escape sequence: \\c", r"write a control character's number: \x01 instead of \cA"),
    (r"invalid escape sequence: \\h", r"write [ \t]"),
    (r"invalid escape sequence: \\R", r"write (?:\r?\n)"),
    (
        r"invalid escape sequence",
        r"RE2 does not know this escape; a letter means itself without the backslash, a backslash is \\",
    ),
    (
        r"bad repetition operator: \S{1,200}\+$",
        "RE2 has no possessive repetition and needs none, as it never backtracks; leave the last + out",
    ),
    (r"bad repetition operator", "one repetition may not follow another; put the first in a group: (?:a*)*"),
    (
        r"invalid repetition size",
        "RE2 repeats at most 1,000 times, nested repetitions multiplied; the first number may not be the larger",
    ),
    (
        r"no argument for repetition operator",
        r"there is nothing to repeat; the sign itself is written \* or \+",
    ),
    (r"missing \)", r"a group is not closed; the sign itself is written \("),
    (r"unexpected \)", r"a group is closed that was not opened; the sign itself is written \)"),
    (r"missing \]", r"a class is not closed; the sign itself is written \["),
    (r"invalid character class range: \\[pP]", r"RE2 does not know this class; it has \pL, \p{Greek} and the like"),
    (r"invalid character class range", "the range is reversed; the lower character must come first"),
    (r"trailing \\", r"the expression ends with a backslash; the sign itself is written \\"),
    (r"too large", "it needs too much memory; use smaller repetition counts, and fewer classes of letters in them"),
    (r"nesting|too deep", "it is nested too deeply; use fewer groups within groups"),
)
"""Patterns for RE2's own message and the advice for each, special ones before general ones."""


def explain(error: object) -> str:
    """Return RE2's message in one line, followed by what to write instead.

    Args:
        error: what `re2.error` carries (bytes), the exception itself, or its text.
    """
    if isinstance(error, BaseException) and error.args:
        error = error.args[0]
    message = error.decode("utf-8", "replace") if isinstance(error, bytes) else str(error)
    message = " ".join(message.split())[:200]
    # recheck: the constants above, on RE2's own message, which is cut to 200 characters
    advice = next((advice for pattern, advice in _ADVICE if re.search(pattern, message)), None)
    return message if advice is None else f"{message}: {advice}"
