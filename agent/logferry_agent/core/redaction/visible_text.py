r"""Texts as a reader sees them: without a terminal's escape sequences, and with the common escapes of JSON undone.

Loggers colour keys and values (`token=\x1b[35meyJ…`), and JSON may escape any character (`\u0041KIA…`, `https:\/\/`).
What is looked for in a text is looked for in this view of it as well, and found again in the text itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

import re2

_TOKEN: Final = re.compile(
    r"("
    # A colour, or a movement (CSI); a title, or a link (OSC); a character set.
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~])"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x0e|\x0f"
    # In a JSON or quoted text ESC may be spelt out, and so may any other character.
    r"|\\(?:(?:\\{0,3}u001[bB]|x1[bB]|033|e)\[[0-?]*[ -/]*[@-~]"
    r"|\\{0,3}u00[2-7][0-9A-Fa-f]|x[2-7][0-9A-Fa-f]|\\{0,3}/)"
    r")",
    re.ASCII,
)
"""What is not shown, or shown as one character. None reaches over a line feed, and each repetition ends where the next
token begins: linear in the text. Each alternative begins with one character, which `re` looks for at the speed of C."""

_MAY_HOLD_TOKEN: Final = re2.compile(r"[\x1b\x{9b}\x0e\x0f]|\\(?:u00[0-7]|x[1-7]|033\[|e\[|/)")


_MOST_KEPT: Final = 8_192


class _Shown(dict[str, str]):
    """What each token is shown as: a character's escape as the character, all others as nothing."""

    def __missing__(self, token: str) -> str:
        shown = ""
        if token.endswith("/") and token.startswith("\\"):
            shown = "/"
        elif token.startswith("\\") and token[-4:-2] in {"00", "\\x"} and token[-2] != "1":
            shown = chr(int(token[-2:], 16))
        if len(self) < _MOST_KEPT and len(token) < 32:
            self[token] = shown
        return shown


_SHOWN: Final = _Shown()


def to_visible(text: str, raw: bytes) -> str | None:
    """Return the text as a reader sees it, with as many line feeds; None where that is the text itself.

    Args:
        text: may be many lines.
        raw: the text in UTF-8.
    """
    if _MAY_HOLD_TOKEN.search(raw) is None:
        return None
    parts = _TOKEN.split(text)
    if len(parts) == 1:
        return None
    parts[1::2] = map(_SHOWN.__getitem__, parts[1::2])
    return "".join(parts)


class VisibleText:
    """One text as a reader sees it, and where each part of that is in the text."""

    def __init__(self, source: str, raw: bytes | None = None) -> None:
        """raw: the source in UTF-8, where it is known."""
        raw = source.encode("utf-8", "surrogatepass") if raw is None else raw
        parts = [source] if _MAY_HOLD_TOKEN.search(raw) is None else _TOKEN.split(source)
        self._source = list(accumulate(map(len, parts), initial=0))
        """Where each part begins in the source. Every second one is a token."""
        parts[1::2] = map(_SHOWN.__getitem__, parts[1::2])
        self._at = list(accumulate(map(len, parts), initial=0))
        """Where it begins in `text`."""
        self.text = "".join(parts)

    @property
    def differs(self) -> bool:
        """Whether there is a token in the source."""
        return len(self._at) > 2

    def in_source(self, start: int, stop: int) -> tuple[int, int]:
        """Return where these characters of `text` (at least one) are in the source, with all that is between them."""
        first, last = self._part(start), self._part(stop - 1)
        begin = self._source[first] if first % 2 else self._source[first] + start - self._at[first]
        end = self._source[last + 1] if last % 2 else self._source[last] + stop - self._at[last]
        return begin, end

    def _part(self, position: int) -> int:
        """Return which part a character of `text` is in; those that show nothing are never meant."""
        return bisect_right(self._at, position) - 1
