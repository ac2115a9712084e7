"""Redact secrets before anything leaves the host: the built-in kinds, and the matches of the user's patterns.

Each pattern is searched by itself, in one text at a time, so that its anchors, flags and groups keep their meaning. It
is searched in the text and in the text as a reader sees it (see visible_text.py). Docker cuts lines at 16 KiB, with or
without a secret at that place, so texts that are pieces of one line are also searched across the cut.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import msgspec

from logferry_protocol.limits import MAX_ENTRY_BYTES, MAX_MESSAGE_CHARS, MIN_CONTINUED_BYTES

from .key_blocks import MARKER, REDACTED, PrivateKeyTracker, find_keys
from .patterns import utf8
from .secrets import BUILT_IN, Spans, UserPattern, compile_screen, merge_spans
from .visible_text import VisibleText, to_visible

__all__ = ["BUILT_IN", "NO_REDACTION", "REDACTED", "Redaction", "Redactor", "compile_rules", "may_continue"]

REACH: Final = 4_096
"""Number of characters on each side of a cut that are searched at least."""

_BREAKS: Final = " \t\"'"
"""Characters that no token contains. A token longer than `REACH` is searched up to one of them."""

_NAME_CHARS: Final = 64
"""Number of characters before a token in which its name may be (`Bearer`)."""

_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Redaction(msgspec.Struct, array_like=True, frozen=True):
    """What to redact in a job's lines."""

    names: tuple[str, ...] = ()
    """Names of `BUILT_IN`, or `all`."""
    patterns: tuple[str, ...] = ()
    """The user's own patterns."""

    def __bool__(self) -> bool:
        return bool(self.names or self.patterns)


NO_REDACTION: Final = Redaction()


class RedactionRules:
    """A compiled `Redaction`, shared by all jobs that use the same one. It holds no state."""

    def __init__(self, redaction: Redaction) -> None:
        chosen = list(BUILT_IN) if "all" in redaction.names else [name for name in BUILT_IN if name in redaction.names]
        self._secrets = [(name, secret) for name in chosen for secret in BUILT_IN[name]]
        self._patterns = [
            (f"pattern_{number}", UserPattern(pattern)) for number, pattern in enumerate(redaction.patterns, 1)
        ]
        self.keys = tuple(name for name in chosen if name in {"pgp", "private_key"})
        """The kinds of keys over several lines that are redacted."""
        screens = [MARKER] if self.keys else []
        self._screen: Any = compile_screen([secret for _, secret in self._secrets], *screens) if chosen else None
        self._key_screen: Any = compile_screen([], MARKER) if self.keys else None

    def find_suspects(self, texts: Sequence[str]) -> list[int]:
        """Return the indices of the texts that may contain a secret, in order."""
        joined = "\n".join(texts)
        raw = utf8(joined)
        seen = to_visible(joined, raw)
        found = set(self._hits(texts, raw, joined))
        if seen is not None:
            lines = seen.split("\n")
            # Texts may be merged lines. The visible text has the same line feeds.
            if len(lines) != len(texts):
                lines = _regrouped(lines, texts)
            found.update(self._hits(lines, utf8(seen), seen))
        return sorted(found)

    def has_marker(self, text: str) -> bool:
        """Return whether a key over several lines may begin in a text."""
        if self._key_screen is None:
            return False
        raw = utf8(text)
        seen = to_visible(text, raw)
        return self._key_screen.search(raw) is not None or (
            seen is not None and self._key_screen.search(utf8(seen)) is not None
        )

    def redact_line(self, text: str, hidden: Counter[str]) -> str:
        """Return a line with its secrets redacted, except keys over several lines.

        Args:
            text: the line.
            hidden: counts the secrets by the name of the pattern that found them.
        """
        found = self.spans(text)
        if not found:
            return text
        hidden.update({name: len(spans) for name, spans in found.items()})
        return _without(text, _merge_all(found))

    def redact_text(self, text: str, hidden: Counter[str], *, in_place: bool = False) -> str:
        """Return a text that is not a line (a name, for example) with its secrets and keys redacted.

        Args:
            text: the text.
            hidden: counts the secrets by the name of the pattern that found them.
            in_place: the result must not be longer than the text.
        """
        return self._redact_after("", text, hidden, in_place=in_place)

    def redact_value(self, key: str, value: str, hidden: Counter[str], *, in_place: bool = False) -> str:
        """Return a label's value with its secrets redacted.

        Args:
            key: the label's key, which may show that the value is a secret.
            value: the label's value.
            hidden: counts the secrets by the name of the pattern that found them.
            in_place: the result must not be longer than the value.
        """
        return self._redact_after(f"{key}=", value, hidden, in_place=in_place)

    def _redact_after(self, before: str, text: str, hidden: Counter[str], *, in_place: bool) -> str:
        begin = len(before)
        found: dict[str, Spans] = {}
        for name, places in self.spans(before + text).items():
            if spans := [(max(0, start - begin), stop - begin) for start, stop in places if stop > begin]:
                found[name] = spans
        # The text may have been cut, so a marker may be followed by a key without its END line.
        if self.keys and self.has_marker(text) and (keys := find_keys(text, self.keys)):
            found |= {name: [(0, len(text))] for name, _, _ in keys}
        if not found:
            return text
        hidden.update({name: len(spans) for name, spans in found.items()})
        return _replaced(text, _merge_all(found), in_place=in_place)

    def spans(self, text: str, cut: int | None = None) -> dict[str, Spans]:
        """Return the spans of secrets in a text, by name. Spans of different names may overlap.

        Args:
            text: a text, or the part of it around a cut.
            cut: return only the secrets whose match contains this index.
        """
        text = _encodable(text)
        view = VisibleText(text)
        lowered = text.lower()
        seen = view.text if view.differs else ""
        seen_lowered = seen.lower()
        found: dict[str, Spans] = {}

        def add(name: str, spans: Spans) -> None:
            if spans:
                found[name] = merge_spans(found[name] + spans) if name in found else spans

        for name, secret in self._secrets:
            add(name, _find_spans(secret.matches(text, lowered), secret.group, None, cut))
            if seen:
                add(name, _find_spans(secret.matches(seen, seen_lowered), secret.group, view, cut))
        for name, pattern in self._patterns:
            add(name, merge_spans(_find_spans(pattern.matches(text), pattern.group, None, cut)))
            if seen:
                add(name, merge_spans(_find_spans(pattern.matches(seen), pattern.group, view, cut)))
        return found

    def _hits(self, texts: Sequence[str], raw: bytes, joined: str) -> Iterator[int]:
        """Yield the indices of texts in which a pattern may match.

        Args:
            texts: the texts.
            raw: all of them joined, in UTF-8.
            joined: all of them joined.
        """
        if any(not pattern.joins or pattern.is_in(raw) for _, pattern in self._patterns):
            yield from range(len(texts))
            return
        if self._screen is None or (match := self._screen.search(raw)) is None:
            return
        lengths = map(len, texts) if len(raw) == len(joined) else (len(utf8(text)) for text in texts)
        begins = list(accumulate((length + 1 for length in lengths), initial=0))
        while match is not None:
            index = bisect_right(begins, match.start()) - 1
            yield index
            match = self._screen.search(raw, begins[index + 1]) if begins[index + 1] < len(raw) else None


@lru_cache(maxsize=64)
def compile_rules(redaction: Redaction) -> RedactionRules:
    """Return the compiled rules, shared by all jobs with the same redaction.

    Raises:
        PatternError: RE2 does not accept one of the patterns.
    """
    return RedactionRules(redaction)


def redact_lines(redaction: Redaction, texts: Sequence[str]) -> tuple[list[tuple[int, str]], Counter[str]] | None:
    """Redact whole lines.

    Returns:
        The changed lines, each with its index, and the number of secrets by pattern name. None when a private key may
        begin in one of the lines, because it may continue in the lines that follow.
    """
    rules, hidden = compile_rules(redaction), Counter[str]()
    suspects = rules.find_suspects(texts)
    if any(map(rules.has_marker, map(texts.__getitem__, suspects))):
        return None
    shown = [(index, rules.redact_line(texts[index], hidden)) for index in suspects]
    return [(index, text) for index, text in shown if text != texts[index]], hidden


class Redactor:
    """Redacts the texts of one job. It has state, because a private key may have several lines."""

    def __init__(self, redaction: Redaction) -> None:
        """Start before a job's first line.

        Raises:
            PatternError: RE2 does not accept one of the patterns.
        """
        self.redaction = redaction
        self._rules = compile_rules(redaction)
        self._keys = PrivateKeyTracker(self._rules.keys)
        self.hidden: Counter[str] = Counter()
        """Number of secrets hidden since the caller last cleared it, by pattern name."""

    @property
    def state(self) -> str:
        """Return which streams are inside a private key, for `resume`."""
        return self._keys.state

    def resume(self, state: str) -> None:
        """Continue from a position where the streams were in this state."""
        self._keys.resume(state if self._rules.keys else "")

    def skip(self, streams: str, texts: Sequence[str]) -> None:
        """Follow the private keys in texts that come before the next texts but are not needed themselves."""
        if self._rules.keys:
            for letter, text in zip(streams, texts, strict=True):
                if letter != "s" and (self._keys.inside or self._rules.has_marker(text)):
                    self._keys.redact(letter.lower(), _encodable(text))

    def redact_cuts(self, streams: str, texts: Sequence[str]) -> list[str]:
        """Return the same number of pieces, without the secrets that contain a cut between two pieces of a line."""
        if "O" not in streams and "E" not in streams:
            return list(texts)
        mended = list(texts)
        latest: dict[str, int] = {}
        for index, letter in enumerate(streams):
            before = latest.get(letter.lower()) if letter in "OE" else None
            if before is not None:
                mended[before], mended[index] = self._redact_cut(mended[before], mended[index])
            if letter != "s":
                latest[letter.lower()] = index
        return mended

    def redact(self, streams: str, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """Redact the secrets within each text, and within the sentence of a system event.

        Args:
            streams: the stream letter of each text.
            texts: the texts.

        Returns:
            The texts, and the state after each text. The list of states is empty when no stream was inside a key.
        """
        found, states = list(texts), list[str]()
        for index, letter in enumerate(streams) if "s" in streams else ():
            if letter == "s":
                found[index] = self._redact_event(texts[index])
        lines = found
        if "s" in streams:
            lines = ["" if letter == "s" else text for letter, text in zip(streams, found, strict=True)]
        suspects = self._rules.find_suspects(lines)
        markers = {index for index in suspects if self._rules.has_marker(lines[index])}
        if markers or self._keys.inside:
            for index, (letter, text) in enumerate(zip(streams, texts, strict=True)):
                if letter != "s" and (self._keys.inside or index in markers):
                    found[index], names = self._keys.redact(letter.lower(), _encodable(text))
                    self.hidden.update(names)
                states.append(self._keys.state)
        for index in suspects:
            if streams[index] != "s":
                found[index] = self._rules.redact_line(found[index], self.hidden)
        return found, states

    def _redact_event(self, text: str) -> str:
        """Return a system event with its sentence redacted, because it may quote the engine or the container."""
        # The preencoding process has no events. Importing their models would make its start three times as long.
        from logferry_protocol.events import Gap, Notice, decode_event, encode_event  # noqa: PLC0415

        event = decode_event(text)
        if not isinstance(event, Gap | Notice) or not event.detail:
            return text
        detail = self._rules.redact_text(event.detail, self.hidden)
        if detail == event.detail:
            return text
        return encode_event(event.model_copy(update={"detail": detail[:MAX_MESSAGE_CHARS]}))

    def _redact_cut(self, first: str, second: str) -> tuple[str, str]:
        tail, head = _tail(first), _head(second)
        window = tail + head
        if not self._rules.find_suspects([window]):
            return first, second
        cut, base = len(tail), len(first) - len(tail)
        found = self._rules.spans(window, cut)
        for name, begin, end in find_keys(window, self._rules.keys):
            if begin < cut < end:
                found[name] = [(begin, end)]
        self.hidden.update({name: len(spans) for name, spans in found.items()})
        # Go from the last to the first, so that the indices before stay valid.
        for begin, end in reversed(_merge_all(found)):
            # The marker goes to the piece that lost more, and never makes a piece longer than it was.
            left, right = max(0, min(end, cut) - begin), max(0, end - max(begin, cut))
            marks = ("", _cut_marker(right)) if right > left else (_cut_marker(left), "")
            at = base + begin
            first = first[:at] + marks[0] + first[at + left :] if left else first
            at = max(0, begin - cut)
            second = second[:at] + marks[1] + second[at + right :] if right else second
        return first, second


def _find_spans(matches: Iterable[Any], group: int, view: VisibleText | None, cut: int | None) -> Spans:
    """Return the spans of the secrets in some matches, in the source text if a visible text was searched.

    Args:
        matches: the matches.
        group: the group of each match to redact.
        view: the visible text that was searched; None: the source was searched.
        cut: return only the secrets whose match contains this index of the source.
    """
    if view is None and cut is None:
        return [match.span(group) for match in matches]
    found: Spans = []
    for match in matches:
        span, (start, stop) = match.span(group), match.span()
        if view is not None:
            span, (start, stop) = view.in_source(*span), view.in_source(start, stop)
        if cut is None or start < cut < stop:
            found.append(span)
    return found


def _merge_all(found: dict[str, Spans]) -> Spans:
    """Return the spans of all names, with overlapping spans merged."""
    if len(found) == 1:
        return next(iter(found.values()))
    return merge_spans(span for spans in found.values() for span in spans)


def _tail(text: str) -> str:
    """Return the end of a piece to search together with the next piece, with any token that reaches further back."""
    last = max(map(text.rfind, _BREAKS))
    return text[max(0, min(len(text) - REACH, last - _NAME_CHARS)) :]


def _head(text: str) -> str:
    """Return the start of a piece to search together with the piece before, with any token that reaches further."""
    ends = [end for end in map(text.find, _BREAKS) if end >= 0]
    return text[: max(REACH, min(ends, default=len(text)))]


def may_continue(letter: str, text: str) -> bool:
    """Return whether the next entry of the stream may be a further piece of this entry's line."""
    return letter != "s" and len(text) * 4 >= MIN_CONTINUED_BYTES and len(utf8(text)) >= MIN_CONTINUED_BYTES


def _encodable(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which UTF-8 cannot encode."""
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def _regrouped(lines: list[str], texts: Sequence[str]) -> list[str]:
    """Join lines so that each result belongs to the text with the same index."""
    found: list[str] = []
    at = 0
    for text in texts:
        following = at + text.count("\n") + 1
        found.append("\n".join(lines[at:following]))
        at = following
    return found


def _cut_marker(taken: int) -> str:
    return REDACTED[:taken]


def _without(text: str, spans: Spans) -> str:
    # A secret may be shorter than the marker. When the markers would make an entry too long, they are cut.
    hidden = sum(end - begin for begin, end in spans)
    longer = len(REDACTED) * len(spans) - hidden
    in_place = longer > 0 and len(utf8(text)) + longer > MAX_ENTRY_BYTES
    return _replaced(text, spans, in_place=in_place)


def _replaced(text: str, spans: Spans, *, in_place: bool) -> str:
    """Return the text with a marker in place of each span. With `in_place`, a marker is not longer than its span."""
    parts: list[str] = []
    at = 0
    for begin, end in spans:
        parts.append(text[at:begin])
        parts.append(REDACTED[: end - begin] if in_place else REDACTED)
        at = end
    parts.append(text[at:])
    return "".join(parts)
