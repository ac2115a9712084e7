"""The built-in kinds of secrets, and the user's patterns: find where in a text they are.

A search has two steps. One RE2 search over the joined lines of a stretch shows which lines may hold a secret; most
stretches hold none. Only those lines are searched for each kind, with a pattern whose time is linear in the length of
the line.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from .patterns import compile_pattern

_SEPARATOR: Final = r"""[\\"']*[ \t]*(?:=>?|:)[ \t]*[\\"']*"""
_NOT_IN_URL: Final = r"""\s/?#"'<>"""

Spans = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """One form of one kind of secret."""

    screen: str
    """The RE2 pattern for joined lines. It finds at least what `pattern` finds, and matches no line feed."""
    pattern: Any
    hints: tuple[str, ...]
    """Lower-case texts. A text that contains none of them cannot contain the secret."""
    check: Callable[[str], bool] | None = None
    """Returns whether a match of the group is really a secret."""
    group: int = 0
    """The group to redact: the group `secret`, or 0 (the whole match) when the pattern has no such group."""

    def matches(self, text: str, lowered: str) -> Iterator[Any]:
        """Return the matches in a text. `group` of each is the secret, and is never empty.

        Args:
            text: the text to search.
            lowered: the text in lower case.
        """
        if not any(hint in lowered for hint in self.hints):
            return iter(())
        # In ASCII every character is one byte, and RE2 is three times as fast on bytes (2026-12).
        by_bytes = isinstance(self.pattern, re2._Regexp) and text.isascii()
        found: Iterator[Any] = self.pattern.finditer(text.encode() if by_bytes else text)
        return found if self.check is None else (match for match in found if self.check(match[self.group]))


def _secret(
    pattern: str, *hints: str, ignore_case: bool = False, screen: str = "", check: Callable[[str], bool] | None = None
) -> SecretPattern:
    flags = re.ASCII | re.IGNORECASE if ignore_case else re.ASCII
    wanted = screen or pattern
    compiled = re.compile(pattern, flags)
    group = compiled.groupindex.get("secret", 0)
    return SecretPattern(f"(?i:{wanted})" if ignore_case else wanted, compiled, hints, check, group)


def _is_name_and_password(encoded: str) -> bool:
    """Return whether this is Base64 of a text with a colon. `Basic information` is not a credential."""
    try:
        decoded = b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True).decode()
    except (Base64Error, ValueError):
        return False
    return ":" in decoded and decoded.isprintable()


_JWT: Final = r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"

BUILT_IN: Final[dict[str, tuple[SecretPattern, ...]]] = {
    "aws": (
        _secret(r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16,}", "akia", "asia", "aroa", "aida"),
        _secret(
            rf"secret[_-]?(?:access[_-]?)?key{_SEPARATOR}(?P<secret>[A-Za-z0-9/+=]{{40}})(?![A-Za-z0-9/+=])",
            "secret",
            ignore_case=True,
            screen=rf"secret[_-]?(?:access[_-]?)?key{_SEPARATOR}[A-Za-z0-9/+=]{{40}}",
        ),
        _secret(
            rf"(?:session|security)[_-]?token{_SEPARATOR}(?P<secret>[A-Za-z0-9/+=_%-]{{100,}})",
            "token",
            ignore_case=True,
        ),
    ),
    "basic": (
        _secret(
            rf"authorization{_SEPARATOR}basic[ \t]+(?P<secret>[A-Za-z0-9+/_-]{{4,}}={{0,2}})",
            "basic",
            ignore_case=True,
        ),
        _secret(
            r"basic[ \t]+(?P<secret>[A-Za-z0-9+/]{8,}={0,2})", "basic", ignore_case=True, check=_is_name_and_password
        ),
    ),
    "bearer": (_secret(r"bearer[ \t]+(?P<secret>[A-Za-z0-9._~+/=-]{8,})", "bearer", ignore_case=True),),
    "github": (
        _secret(
            r"gh[oprsu]_[A-Za-z0-9_]{36,}|github_pat_[A-Za-z0-9_]{22,}",
            *("gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_"),
        ),
    ),
    # RE2 searches the line too: in a run of these characters without a dot, `re` would start again at each `eyJ`.
    "jwt": (SecretPattern(_JWT, re2.compile(_JWT), ("eyj",)),),
    "logferry": (_secret(r"lf[asv]_[a-z0-9]{12}_[A-Za-z0-9_-]{43}", "lfa_", "lfs_", "lfv_"),),
    "pgp": (),
    "private_key": (),
    "slack": (
        _secret(r"xox[abceoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}", "xox", "xapp-"),
        _secret(
            r"hooks\.slack\.com/(?:services|triggers|workflows)/(?P<secret>[A-Za-z0-9/_-]{8,})", "hooks.slack.com/"
        ),
    ),
    "stripe": (
        _secret(r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}", "k_live_", "k_test_"),
        _secret(r"whsec_[A-Za-z0-9+/=]{16,}", "whsec_"),
    ),
    "url_password": (_secret(rf"://[^{_NOT_IN_URL}:@]*:(?P<secret>[^{_NOT_IN_URL}]+)@", "://"),),
}
"""The built-in secrets by name. Keys over several lines (`pgp`, `private_key`) are found in key_blocks.py."""


class UserPattern:
    """A pattern that an operator wrote. `^` and `$` match at every line; `.` matches no line feed."""

    def __init__(self, pattern: str) -> None:
        """Compile the pattern.

        Raises:
            PatternError: RE2 does not accept the pattern.
        """
        self._compiled = compile_pattern(pattern, multi_line=True)
        self.group: int = self._compiled.groupindex.get("secret", 0)
        self.joins = re.search(r"\\[AzC]|\(\?[a-zA-Z]*-", pattern) is None
        """Whether a match in a line is also a match in the joined lines. It is not when the pattern asks for the begin
        or end of a text."""

    def is_in(self, raw: bytes) -> bool:
        """Return whether the pattern matches anywhere in a text in UTF-8."""
        return self._compiled.search(raw) is not None

    def matches(self, text: str) -> Iterator[Any]:
        """Yield the matches in a text that can be encoded. `group` of each is the part to redact.

        A pattern that asks for the begin or end of a text is also searched in each line of a merged entry. Otherwise a
        container could avoid the redaction by having its lines merged.
        """
        yield from self._matches(text)
        if not self.joins and "\n" in text:
            at = 0
            for line in text.split("\n"):
                for match in self._matches(line):
                    yield _ShiftedMatch(match, at)
                at += len(line) + 1

    def _matches(self, text: str) -> Iterator[Any]:
        for match in self._compiled.finditer(text.encode() if text.isascii() else text):
            begin, end = match.span(self.group)
            if begin < end:
                yield match
            elif begin < 0 and match[0]:
                yield _WholeMatch(match)


class _WholeMatch:
    """A match in which the group `secret` is in an alternative that did not match: the whole match is redacted."""

    __slots__ = ("_match",)

    def __init__(self, match: Any) -> None:
        self._match = match

    def span(self, _: int = 0) -> tuple[int, int]:
        span: tuple[int, int] = self._match.span()
        return span


class _ShiftedMatch:
    """A match in a part of a text, shifted by the number of characters before that part."""

    __slots__ = ("_by", "_match")

    def __init__(self, match: Any, by: int) -> None:
        self._match, self._by = match, by

    def span(self, group: int = 0) -> tuple[int, int]:
        begin, end = self._match.span(group)
        return begin + self._by, end + self._by


def merge_spans(spans: Iterable[tuple[int, int]]) -> Spans:
    """Return the spans in order, with overlapping spans merged."""
    found: Spans = []
    for begin, end in sorted(spans):
        if found and begin < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def compile_screen(secrets: Sequence[SecretPattern], *more: str) -> Any:
    """Compile the one search that shows where in joined lines any of these secrets may be."""
    options = re2.Options()
    options.never_capture = True
    return re2.compile("|".join(f"(?:{one})" for one in (*(secret.screen for secret in secrets), *more)), options)
