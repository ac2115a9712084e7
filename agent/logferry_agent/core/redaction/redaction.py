"""Secrets are replaced before anything leaves the host: the well-known kinds, and what the user's patterns say.

Each pattern is searched on its own, in one text at a time, so that its anchors, flags and groups mean what they mean
alone; in the text itself, and in the text as a reader sees it (see visible.py). Docker cuts lines at 16 KiB, secrets or
not: texts that are pieces of one line are searched across the cut as well.
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
"""How far to both sides of a cut a secret is looked for at least."""

_BREAKS: Final = " \t\"'"
"""What no token holds: one that is longer than `REACH` ends there."""

_NAME_CHARS: Final = 64
"""Before a token, where its name stands (`Bearer`)."""

_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Redaction(msgspec.Struct, array_like=True, frozen=True):
    """What is hidden in a job's lines."""

    names: tuple[str, ...] = ()
    """Of `BUILT_IN`, or `all`."""
    patterns: tuple[str, ...] = ()
    """The user's own."""

    def __bool__(self) -> bool:
        return bool(self.names or self.patterns)


NO_REDACTION: Final = Redaction()


class RedactionRules:
    """What a `Redaction` means, compiled once for all jobs that share it. Holds no state."""

    def __init__(self, redaction: Redaction) -> None:
        chosen = list(BUILT_IN) if "all" in redaction.names else [name for name in BUILT_IN if name in redaction.names]
        self._secrets = [(name, secret) for name in chosen for secret in BUILT_IN[name]]
        self._patterns = [
            (f"pattern_{number}", UserPattern(pattern)) for number, pattern in enumerate(redaction.patterns, 1)
        ]
        self.keys = tuple(name for name in chosen if name in {"pgp", "private_key"})
        """Kinds of keys over several lines."""
        screens = [MARKER] if self.keys else []
        self._screen: Any = compile_screen([secret for _, secret in self._secrets], *screens) if chosen else None
        self._key_screen: Any = compile_screen([], MARKER) if self.keys else None

    def suspects(self, texts: Sequence[str]) -> list[int]:
        """Return the indices of those texts in which something may have to be hidden, in order."""
        joined = "\n".join(texts)
        raw = utf8(joined)
        seen = to_visible(joined, raw)
        found = set(self._hits(texts, raw, joined))
        if seen is not None:
            lines = seen.split("\n")
            # Texts may be merged lines; what is shown has as many line feeds.
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

    def hide(self, text: str, hidden: Counter[str]) -> str:
        """Return the text without its secrets, but for keys over several lines; `hidden` counts them by name."""
        found = self.spans(text)
        if not found:
            return text
        hidden.update({name: len(spans) for name, spans in found.items()})
        return _without(text, _together(found))

    def hide_alone(self, text: str, hidden: Counter[str], *, in_place: bool = False) -> str:
        """Return a text that is no line, a name for instance, without its secrets and keys.

        With `in_place` it is no longer than it was.
        """
        return self._hide_behind("", text, hidden, in_place=in_place)

    def hide_value(self, key: str, value: str, hidden: Counter[str], *, in_place: bool = False) -> str:
        """Return a label's value without its secrets; with `in_place` no longer than it was."""
        return self._hide_behind(f"{key}=", value, hidden, in_place=in_place)

    def _hide_behind(self, before: str, text: str, hidden: Counter[str], *, in_place: bool) -> str:
        begin = len(before)
        found: dict[str, Spans] = {}
        for name, places in self.spans(before + text).items():
            if spans := [(max(0, start - begin), stop - begin) for start, stop in places if stop > begin]:
                found[name] = spans
        # What follows a marker may be a key without its END, as the text may have been cut.
        if self.keys and self.has_marker(text) and (keys := find_keys(text, self.keys)):
            found |= {name: [(0, len(text))] for name, _, _ in keys}
        if not found:
            return text
        hidden.update({name: len(spans) for name, spans in found.items()})
        return _replaced(text, _together(found), in_place=in_place)

    def spans(self, text: str, cut: int | None = None) -> dict[str, Spans]:
        """Return where secrets are in a text, by name; those of different names may overlap.

        Args:
            text: may be searched in part, as around a cut.
            cut: only those that a cut here would part from what they are known by.
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
            add(name, _places(secret.matches(text, lowered), secret.group, None, cut))
            if seen:
                add(name, _places(secret.matches(seen, seen_lowered), secret.group, view, cut))
        for name, pattern in self._patterns:
            add(name, merge_spans(_places(pattern.matches(text), pattern.group, None, cut)))
            if seen:
                add(name, merge_spans(_places(pattern.matches(seen), pattern.group, view, cut)))
        return found

    def _hits(self, texts: Sequence[str], raw: bytes, joined: str) -> Iterator[int]:
        """Yield the indices of texts in which a pattern may match. `raw`: all of them joined, in UTF-8."""
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
        PatternError: RE2 does not take one of the patterns.
    """
    return RedactionRules(redaction)


def redact_lines(redaction: Redaction, texts: Sequence[str]) -> tuple[list[tuple[int, str]], Counter[str]] | None:
    """Return which of these whole lines change, and to what, and what is hidden in them.

    None where a private key may begin in them, as it may go on in lines that follow.
    """
    rules, hidden = compile_rules(redaction), Counter[str]()
    suspects = rules.suspects(texts)
    if any(map(rules.has_marker, map(texts.__getitem__, suspects))):
        return None
    shown = [(index, rules.hide(texts[index], hidden)) for index in suspects]
    return [(index, text) for index, text in shown if text != texts[index]], hidden


class Redactor:
    """Replaces secrets in texts; one for each job, as a private key may go over several lines."""

    def __init__(self, redaction: Redaction) -> None:
        """Prepare it for a job's first line.

        Raises:
            PatternError: RE2 does not take one of the patterns.
        """
        self.redaction = redaction
        self._rules = compile_rules(redaction)
        self._keys = PrivateKeyTracker(self._rules.keys)
        self.hidden: Counter[str] = Counter()
        """Secrets hidden since the caller last cleared it, by the name of what found them."""

    @property
    def state(self) -> str:
        """Which streams are inside a private key: what `resume` takes."""
        return self._keys.state

    def resume(self, state: str) -> None:
        """What comes next follows a place where the streams were in this state."""
        self._keys.resume(state if self._rules.keys else "")

    def skip(self, streams: str, texts: Sequence[str]) -> None:
        """These come before what is to be redacted next, and are not wanted."""
        if self._rules.keys:
            for letter, text in zip(streams, texts, strict=True):
                if letter != "s" and (self._keys.inside or self._rules.has_marker(text)):
                    self._keys.hide(letter.lower(), _encodable(text))

    def redact_cuts(self, streams: str, texts: Sequence[str]) -> list[str]:
        """The same pieces, without secrets that a cut between two of them goes through. The number stays the same."""
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
        """The same texts without the secrets that lie in one, or in a system event's sentence. And after each text
        the state: an empty list when no stream was ever inside a private key."""
        found, states = list(texts), list[str]()
        for index, letter in enumerate(streams) if "s" in streams else ():
            if letter == "s":
                found[index] = self._redact_event(texts[index])
        lines = found
        if "s" in streams:
            lines = ["" if letter == "s" else text for letter, text in zip(streams, found, strict=True)]
        suspects = self._rules.suspects(lines)
        markers = {index for index in suspects if self._rules.has_marker(lines[index])}
        if markers or self._keys.inside:
            for index, (letter, text) in enumerate(zip(streams, texts, strict=True)):
                if letter != "s" and (self._keys.inside or index in markers):
                    found[index], names = self._keys.hide(letter.lower(), _encodable(text))
                    self.hidden.update(names)
                states.append(self._keys.state)
        for index in suspects:
            if streams[index] != "s":
                found[index] = self._rules.hide(found[index], self.hidden)
        return found, states

    def _redact_event(self, text: str) -> str:
        """The same system event; its sentence may quote the engine, or the container."""
        # The second process meets no events; importing their models would make its start three times as long.
        from logferry_protocol.events import Gap, Notice, decode_event, encode_event  # noqa: PLC0415

        event = decode_event(text)
        if not isinstance(event, Gap | Notice) or not event.detail:
            return text
        detail = self._rules.hide_alone(event.detail, self.hidden)
        if detail == event.detail:
            return text
        return encode_event(event.model_copy(update={"detail": detail[:MAX_MESSAGE_CHARS]}))

    def _redact_cut(self, first: str, second: str) -> tuple[str, str]:
        tail, head = _tail(first), _head(second)
        window = tail + head
        if not self._rules.suspects([window]):
            return first, second
        cut, base = len(tail), len(first) - len(tail)
        found = self._rules.spans(window, cut)
        for name, begin, end in find_keys(window, self._rules.keys):
            if begin < cut < end:
                found[name] = [(begin, end)]
        self.hidden.update({name: len(spans) for name, spans in found.items()})
        # From the last to the first, so that what comes before keeps its place.
        for begin, end in reversed(_together(found)):
            # The marker stands where most was taken away, and never makes a piece longer than it was.
            left, right = max(0, min(end, cut) - begin), max(0, end - max(begin, cut))
            marks = ("", _fitting(right)) if right > left else (_fitting(left), "")
            at = base + begin
            first = first[:at] + marks[0] + first[at + left :] if left else first
            at = max(0, begin - cut)
            second = second[:at] + marks[1] + second[at + right :] if right else second
        return first, second


def _places(matches: Iterable[Any], group: int, view: VisibleText | None, cut: int | None) -> Spans:
    """Return where the secrets of some matches are: in the source of the view that was searched, if it was one."""
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


def _together(found: dict[str, Spans]) -> Spans:
    """Return the places of all names, those that overlap as one."""
    if len(found) == 1:
        return next(iter(found.values()))
    return merge_spans(span for spans in found.values() for span in spans)


def _tail(text: str) -> str:
    """Return what of a piece is searched together with the next one: also a token that begins further before."""
    last = max(map(text.rfind, _BREAKS))
    return text[max(0, min(len(text) - REACH, last - _NAME_CHARS)) :]


def _head(text: str) -> str:
    """Return what of a piece is searched together with the one before: also a token that ends further behind."""
    ends = [end for end in map(text.find, _BREAKS) if end >= 0]
    return text[: max(REACH, min(ends, default=len(text)))]


def may_continue(letter: str, text: str) -> bool:
    """Whether the next entry of the stream may be a further piece of the line that this one belongs to."""
    return letter != "s" and len(text) * 4 >= MIN_CONTINUED_BYTES and len(utf8(text)) >= MIN_CONTINUED_BYTES


def _encodable(text: str) -> str:
    """The text, with another character for each half of a surrogate pair, of which UTF-8 has none."""
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def _regrouped(lines: list[str], texts: Sequence[str]) -> list[str]:
    """Join lines again so that they are the same texts' as before."""
    found: list[str] = []
    at = 0
    for text in texts:
        following = at + text.count("\n") + 1
        found.append("\n".join(lines[at:following]))
        at = following
    return found


def _fitting(taken: int) -> str:
    return REDACTED[:taken]


def _without(text: str, spans: Spans) -> str:
    # Short secrets are shorter than the marker: where that would make an entry too long, it is cut.
    hidden = sum(end - begin for begin, end in spans)
    longer = len(REDACTED) * len(spans) - hidden
    in_place = longer > 0 and len(utf8(text)) + longer > MAX_ENTRY_BYTES
    return _replaced(text, spans, in_place=in_place)


def _replaced(text: str, spans: Spans, *, in_place: bool) -> str:
    """Return the text with a marker in the place of each span, no longer than that where it is `in_place`."""
    parts: list[str] = []
    at = 0
    for begin, end in spans:
        parts.append(text[at:begin])
        parts.append(REDACTED[: end - begin] if in_place else REDACTED)
        at = end
    parts.append(text[at:])
    return "".join(parts)
