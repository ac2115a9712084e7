r"""Show a text as a reader sees it: without a terminal's escape sequences, and with JSON's common escapes resolved.

Loggers colour keys and values (`token=\x1b[35meyJ…`), and JSON may escape any character (`\u0041KIA…`, `https:\/\/`).
So patterns are also searched in the visible text, and each match is mapped back to the text itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

import re2

_TOKEN: Final = re.compile(
    r"("
    # A colour or a cursor movement (CSI); a title or a link (OSC); a character set.
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~])"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x0e|\x0f"
    # A JSON or quoted text may escape ESC, and any other character.
    r"|\\(?:(?:\\{0,3}u001[bB]|x1[bB]|033|e)\[[0-?]*[ -/]*[@-~]"
    r"|\\{0,3}u00[2-7][0-9A-Fa-f]|x[2-7][0-9A-Fa-f]|\\{0,3}/)"
    r")",
    re.ASCII,
)
"""A token: characters that are not shown, or shown as one character. No token contains a line feed, and each repetition
ends where the next token begins, so the search is linear. Each alternative begins with one character, which `re`
searches for at the speed of C."""

_MAY_HOLD_TOKEN: Final = re2.compile(r"[\x1b\x{9b}\x0e\x0f]|\\(?:u00[0-7]|x[1-7]|033\[|e\[|/)")


_MOST_KEPT: Final = 8_192


class _VisibleTokens(dict[str, str]):
    """Maps each token to what a reader sees: the escape of a character to that character, all others to nothing."""

    def __missing__(self, token: str) -> str:
        shown = ""
        if token.endswith("/") and token.startswith("\\"):
            shown = "/"
        elif token.startswith("\\") and token[-4:-2] in {"00", "\\x"} and token[-2] != "1":
            shown = chr(int(token[-2:], 16))
        if len(self) < _MOST_KEPT and len(token) < 32:
            self[token] = shown
        return shown


_SHOWN: Final = _VisibleTokens()


def to_visible(text: str, raw: bytes) -> str | None:
    """Return the text as a reader sees it, with the same line feeds; None when that is the text itself.

    Args:
        text: one or more lines.
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
    """One text as a reader sees it, with the position of each part in the source text."""

    def __init__(self, source: str, raw: bytes | None = None) -> None:
        """Resolve the tokens of a text.

        Args:
            source: the text.
            raw: the text in UTF-8, when the caller has it.
        """
        raw = source.encode("utf-8", "surrogatepass") if raw is None else raw
        parts = [source] if _MAY_HOLD_TOKEN.search(raw) is None else _TOKEN.split(source)
        self._source = list(accumulate(map(len, parts), initial=0))
        """The index in the source where each part begins. Every second part is a token."""
        parts[1::2] = map(_SHOWN.__getitem__, parts[1::2])
        self._at = list(accumulate(map(len, parts), initial=0))
        """The index in `text` where each part begins."""
        self.text = "".join(parts)

    @property
    def differs(self) -> bool:
        """Return whether the source contains a token."""
        return len(self._at) > 2

    def in_source(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range in the source of a range of `text` (at least one character), tokens in between included."""
        first, last = self._part(start), self._part(stop - 1)
        begin = self._source[first] if first % 2 else self._source[first] + start - self._at[first]
        end = self._source[last + 1] if last % 2 else self._source[last] + stop - self._at[last]
        return begin, end

    def _part(self, position: int) -> int:
        """Return the index of the part that a character of `text` is in, never of a part that shows nothing."""
        return bisect_right(self._at, position) - 1
