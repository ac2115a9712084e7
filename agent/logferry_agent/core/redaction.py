"""Secrets are replaced before anything leaves the host: the well-known kinds, and what the user's patterns say.

Each pattern is searched on its own, in one text at a time, so that its anchors, flags and groups mean what they mean
alone. Docker cuts lines at 16 KiB, secrets or not: texts that are pieces of one line are searched across the cut as
well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from logferry_protocol.limits import MAX_ENTRY_BYTES, MIN_CONTINUED_BYTES

REDACTED: Final = "[redacted]"

REACH: Final = 4_096
"""How far to both sides of a cut a secret is looked for."""

_SEPARATOR: Final = r"""[\\"']*\s*(?:=>?|:)\s*[\\"']*"""


@dataclass(frozen=True, slots=True)
class Secret:
    """One kind: where its pattern matches, the group `secret` is replaced, or all of it when there is no such group."""

    pattern: re.Pattern[str]
    hints: tuple[str, ...] = ()
    """Lower-case texts without one of which it cannot be there; none: it always may."""


def _secret(pattern: str, *hints: str) -> Secret:
    return Secret(re.compile(pattern, re.IGNORECASE), hints)


BUILT_IN: Final = {
    "aws": (
        Secret(re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16,28}\b"), ("akia", "asia", "aroa", "aida")),
        _secret(rf"secret_?(?:access_?)?key{_SEPARATOR}(?P<secret>[A-Za-z0-9/+=]{{40}})(?![A-Za-z0-9/+=])", "secret"),
        _secret(rf"(?:session|security)[_-]?token{_SEPARATOR}(?P<secret>[A-Za-z0-9/+=_%-]{{100,}})", "token"),
    ),
    "bearer": (_secret(r"\bbearer\s+(?P<secret>[A-Za-z0-9._~+/=-]{8,})", "bearer"),),
    "jwt": (Secret(re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"), ("eyj",)),),
    "private_key": (
        Secret(
            re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
            ("private key-----",),
        ),
    ),
}
"""Well-known secrets. A private key printed over several lines is hidden line by line (see `Redactor`)."""

_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class Redactor:
    """Replaces secrets in texts; one for each job, as a private key may go over several lines."""

    def __init__(self, names: Sequence[str], patterns: Sequence[str]) -> None:
        """names: of `BUILT_IN`, or `all`. patterns: the user's own; `^` and `$` are a line's, also in a merged one."""
        chosen = list(BUILT_IN) if "all" in names else list(names)
        self._secrets = [secret for name in chosen for secret in BUILT_IN[name]]
        self._secrets += [Secret(re.compile(pattern, re.MULTILINE)) for pattern in patterns]
        self._keys = "private_key" in chosen
        self._inside: set[str] = set()
        """Streams that are inside a private key."""

    def begin(self, inside: str) -> None:
        """What comes next follows a place where these streams were inside a private key."""
        self._inside = set(inside)

    def pass_over(self, streams: str, texts: Sequence[str]) -> None:
        """These come before what is to be redacted next, and are not wanted."""
        if self._keys:
            for letter, text in zip(streams, texts, strict=True):
                self._key_line(letter, text)

    def mend(self, streams: str, texts: Sequence[str]) -> list[str]:
        """The same pieces, without secrets that a cut between two of them goes through. The number stays the same."""
        if "O" not in streams and "E" not in streams:
            return list(texts)
        mended = list(texts)
        latest: dict[str, int] = {}
        for index, letter in enumerate(streams):
            before = latest.get(letter.lower()) if letter in "OE" else None
            if before is not None:
                mended[before], mended[index] = self._mend(mended[before], mended[index])
            if letter != "s":
                latest[letter.lower()] = index
        return mended

    def redact(self, streams: str, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """The same texts without the secrets that lie in one; system events stay as they are. And after each text
        which streams are inside a private key: an empty list when none ever is."""
        found, inside = list(texts), list[str]()
        if self._keys and (self._inside or any("PRIVATE KEY-----" in text for text in found)):
            for index, (letter, text) in enumerate(zip(streams, texts, strict=True)):
                found[index] = self._key_line(letter, text)
                inside.append("".join(sorted(self._inside)))
        # One search over all of them first: most hold no secret at all.
        joined = "\n".join(found).lower()
        for secret in self._secrets:
            if not secret.hints or any(hint in joined for hint in secret.hints):
                found = [
                    text if letter == "s" else _without(secret.pattern, text)
                    for letter, text in zip(streams, found, strict=True)
                ]
        return found, inside

    def _mend(self, first: str, second: str) -> tuple[str, str]:
        for secret in self._secrets:
            tail, head = first[-REACH:], second[:REACH]
            lowered = (tail + head).lower()
            if secret.hints and not any(hint in lowered for hint in secret.hints):
                continue
            for match in secret.pattern.finditer(tail + head):
                begin, end = _span(match)
                if not match.start() < len(tail) < match.end():
                    continue
                # The marker stands where most was taken away, and never makes a piece longer than it was.
                left, right = max(0, len(tail) - begin), max(0, end - len(tail))
                marks = _fitting(left), ""
                if right > left:
                    marks = "", _fitting(right)
                cut = len(first) - len(tail)
                first = first[: cut + begin] + marks[0] + first[cut + end :] if left else first
                second = second[: max(0, begin - len(tail))] + marks[1] + second[right:] if right else second
                break
        return first, second

    def _key_line(self, letter: str, text: str) -> str:
        stream = letter.lower()
        if letter == "s":
            return text
        if stream in self._inside:
            end = text.find("-----END ")
            if end < 0:
                return REDACTED
            self._inside.discard(stream)
            closing = text.find("-----", end + 9)
            return REDACTED + (text[closing + 5 :] if closing >= 0 else "")
        begin = _KEY_BEGINS.search(text)
        if begin and "-----END " not in text[begin.end() :]:
            self._inside.add(stream)
            return text[: begin.start()] + REDACTED
        return text


def may_continue(letter: str, text: str) -> bool:
    """Whether the next entry of the stream may be a further piece of the line that this one belongs to."""
    return letter != "s" and len(text) * 4 >= MIN_CONTINUED_BYTES and len(text.encode()) >= MIN_CONTINUED_BYTES


def _span(match: re.Match[str]) -> tuple[int, int]:
    return match.span("secret") if "secret" in match.re.groupindex else match.span()


def _fitting(taken: int) -> str:
    return REDACTED[:taken]


def _without(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.sub(_replaced, text)
    # Short secrets are shorter than the marker: where that would make an entry too long, it is cut.
    return found if len(found.encode()) <= MAX_ENTRY_BYTES else pattern.sub(_replaced_in_place, text)


def _replaced(match: re.Match[str]) -> str:
    begin, end = _span(match)
    return match[0][: begin - match.start()] + REDACTED + match[0][end - match.start() :]


def _replaced_in_place(match: re.Match[str]) -> str:
    begin, end = _span(match)
    return match[0][: begin - match.start()] + _fitting(end - begin) + match[0][end - match.start() :]
