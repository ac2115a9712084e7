"""Find private keys that are printed over several lines, and the lines of a stream that belong to one.

A key begins with a line such as `-----BEGIN RSA PRIVATE KEY-----`. It ends with its END line, before the first line
that cannot be part of a key, or after `MOST_LINES` at the latest. When a line only names the marker, only the marker is
redacted.

A key may have headers, and an empty line after them. When a logger writes a prefix before each line, a header that only
an encrypted key has is redacted. Other text with the name of a header is shown, and so is the empty line, of which only
the prefix remains. The key continues after them if Base64 follows.

The cursor holds which streams are inside a key (`state`), so that the rest of a key stays redacted after a restart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import re2

from .visible_text import VisibleText

REDACTED: Final = "[redacted]"

MOST_LINES: Final = 200
"""Lines of a key after its first. An RSA key of 16,384 bits, the longest that OpenSSL makes, takes 197."""

MARKER: Final = r"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
"""The beginning of a key (RFC 7468, OpenSSH, SSH2, PGP)."""

_BEGIN: Final = re2.compile(MARKER)
_END: Final = re2.compile(r"-{4,5} ?END (?:[A-Z0-9 ]*-{4,5})?")

_PART: Final = re2.compile(
    r"""[\s"'`>|]*"""
    r"(?:[A-Za-z0-9+/]+={0,2}|=[A-Za-z0-9+/]{4}"
    r"|(?:Proc-Type|DEK-Info|Version|Comment|Subject|Charset|Hash|MessageID|x-[A-Za-z-]+):.*)?"
    r"""(?:\\[nr]|["'`,;\s])*(?:\+\s*)?"""
)
"""A line of a key: Base64, a PGP checksum, a header or nothing. It may be indented, or quoted as in source text."""

_RUN: Final = re2.compile(r"[A-Za-z0-9+/]{40,}")
"""Base64 after any prefix of a logger."""

_LAST: Final = re2.compile(r"""([A-Za-z0-9+/]{4,}={0,2})(?:\\[nr]|["'`,;}\s])*\z""")
"""The end of a line that may be the last line of a key, which is shorter."""

_VALUE: Final = re2.compile(r"""[:=]\s?["']([A-Za-z0-9+/]{4,}={0,2})(?:\\[nr])*["']""")
"""The same as a quoted value in a record that has more values."""

_ENCRYPTED: Final = re2.compile(
    r"""(?:^|[\s"'`>|\]):=(])"""
    r"(?:Proc-Type: ?4, ?(?:ENCRYPTED|MIC-ONLY|MIC-CLEAR|CRL)|DEK-Info: ?[A-Z0-9-]{3,}(?:,[0-9A-Fa-f]+)?)"
    r"(?:[^0-9A-Za-z_-]|$)"
)
"""A header of an encrypted key (RFC 1421) after any prefix of a logger."""

_HEADER: Final = re2.compile(
    r"""(?:^|[\s"'`>|\]):=(])(?:Proc-Type|DEK-Info|Version|Comment|Subject|Charset|Hash|MessageID):"""
)
"""Text that may be a header or a sentence."""

_IN_REST: Final = re2.compile(r"[A-Za-z0-9+/]{16,}")

# The state consists of letters: `z`, then for each stream `o` or `e` with two digits and perhaps the kind of its last
# line. An agent of version 0.1.0 that takes over again knows only `o` and `e`, and writes all letters of the state in
# alphabetical order: then `z` is not the first.
_COUNTED: Final = "z"
_DIGITS: Final = "abcdfghijklmnpqr"
_BEHIND_HEADER: Final = "t"
_BEHIND_EMPTY: Final = "u"
_STATE: Final = re.compile(f"([oe])([{_DIGITS}]{{2}})([{_BEHIND_HEADER}{_BEHIND_EMPTY}]?)")


class PrivateKeyTracker:
    """Follows the private keys in a job's streams."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start outside of any key.

        Args:
            names: the kinds of keys to redact, of `private_key` and `pgp`.
        """
        self._names = frozenset(names)
        self._inside: dict[str, tuple[int, str]] = {}
        """For each stream inside a key, the number of lines after the first, and the kind of the last line."""

    @property
    def inside(self) -> bool:
        """Return whether any stream is inside a key."""
        return bool(self._inside)

    @property
    def state(self) -> str:
        """Return which streams are inside a key, as lower-case letters; empty: none."""
        if not self._inside:
            return ""
        counts = ((letter, *divmod(lines, 16), last) for letter, (lines, last) in sorted(self._inside.items()))
        return _COUNTED + "".join(letter + _DIGITS[high] + _DIGITS[low] + last for letter, high, low, last in counts)

    def resume(self, state: str) -> None:
        """Continue from a state.

        A state of version 0.1.0 holds only which streams are inside a key. Their lines count from here on.
        """
        if state.startswith(_COUNTED):
            self._inside = {
                letter: (_DIGITS.index(digits[0]) * 16 + _DIGITS.index(digits[1]), last)
                for letter, digits, last in _STATE.findall(state)
            }
        else:
            # The last line may have been a header.
            self._inside = {letter: (0, _BEHIND_HEADER) for letter in "oe" if letter in state}

    def redact(self, stream: str, text: str) -> tuple[str, list[str]]:
        """Return the stream's next entry with parts of keys redacted, and the names of the keys that begin in it."""
        found: list[str] = []
        if "\n" not in text:
            return self._redact_line(stream, text, found), found
        lines: list[str] = []
        for line in text.split("\n"):
            hidden = self._redact_line(stream, line, found)
            # A merged entry shows one marker for a key.
            if not (hidden == REDACTED and lines and lines[-1].endswith(REDACTED)):
                lines.append(hidden)
        return "\n".join(lines), found

    def _redact_line(self, stream: str, line: str, found: list[str]) -> str:
        view = VisibleText(line)
        seen = view.text
        hidden: list[tuple[int, int]] = []
        at = 0
        if stream in self._inside:
            if (end := _search(_END, seen)) is not None:
                hidden.append((0, end[1]))
                at = end[1]
                del self._inside[stream]
            else:
                lines, last = self._inside.pop(stream)
                part = _part(seen, lines, last)
                if part is not None and lines + 1 < MOST_LINES:
                    self._inside[stream] = (lines + 1, part[1])
                if part is not None and part[0]:
                    return REDACTED
        while (begin := _search(_BEGIN, seen, at)) is not None:
            if (name := _name(seen, begin)) not in self._names:
                at = begin[1]
                continue
            found.append(name)
            if (end := _search(_END, seen, begin[1])) is not None:
                hidden.append((begin[0], end[1]))
                at = end[1]
                continue
            self._inside[stream] = (0, "")
            rest = seen[begin[1] :]
            hidden.append((begin[0], len(seen) if not rest or _search(_IN_REST, rest) else begin[1]))
            break
        return _without(line, view, hidden) if hidden else line


def find_keys(text: str, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return the name and the range of each key in a text. A key without an END line reaches to the text's end."""
    view = VisibleText(text)
    found: list[tuple[str, int, int]] = []
    at = 0
    while (begin := _search(_BEGIN, view.text, at)) is not None:
        end = _search(_END, view.text, begin[1])
        at = begin[1] if end is None else end[1]
        if (name := _name(view.text, begin)) in names:
            found.append((name, *view.in_source(begin[0], len(view.text) if end is None else at)))
    return found


def _name(text: str, begin: tuple[int, int]) -> str:
    return "pgp" if "PGP" in text[begin[0] : begin[1]] else "private_key"


def _without(line: str, view: VisibleText, hidden: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    at = 0
    for begin, end in hidden:
        start, stop = view.in_source(begin, end)
        parts += [line[at:start], REDACTED]
        at = stop
    return "".join(parts) + line[at:]


def _search(pattern: re2._Regexp, text: str, at: int = 0) -> tuple[int, int] | None:
    match = pattern.search(text, at)
    return None if match is None else match.span()


def _part(line: str, lines: int, last: str) -> tuple[bool, str] | None:
    """Return whether to redact a line, and its kind; None when the key ends before the line.

    Args:
        line: the line as a reader sees it.
        lines: the number of lines since the marker.
        last: the kind of the last line.
    """
    if last == _BEHIND_EMPTY:
        # The line before was taken for an empty line, but may have been a sentence.
        return (True, "") if _holds_run(line) else None
    if _ENCRYPTED.search(line) is not None:
        return True, _BEHIND_HEADER
    if _may_be_part(line, lines):
        return True, ""
    if (lines == 0 or last == _BEHIND_HEADER) and _HEADER.search(line) is not None:
        return False, _BEHIND_HEADER
    return (False, _BEHIND_EMPTY) if last == _BEHIND_HEADER else None


def _holds_run(line: str) -> bool:
    return any(_looks_random(match[0]) for match in _RUN.finditer(line))


def _may_be_part(line: str, lines: int) -> bool:
    """Return whether a line may be part of a key, other than a header after a logger's prefix."""
    if _PART.fullmatch(line) is not None:
        return True
    if _holds_run(line):
        return True
    last = _LAST.search(line)
    if last is not None and _may_be_last(last[1]):
        return True
    return lines > 0 and any(_may_be_last(match[1]) for match in _VALUE.finditer(line))


def _may_be_last(text: str) -> bool:
    return len(text) % 4 == 0 and (text.endswith("=") or _looks_random(text))


def _looks_random(text: str) -> bool:
    """Return whether a text has upper case, lower case and digits, as a key's Base64 has. Words and paths do not."""
    return any(map(str.isupper, text)) and any(map(str.islower, text)) and any(map(str.isdigit, text))
