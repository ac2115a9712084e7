"""The text that a terminal and the viewer show, which a search looks at. All functions are linear in the text."""

import re
from dataclasses import dataclass, replace
from typing import Final

_ESCAPE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b\n]*\x1b\\|\x1b[ -/]+[0-~]|\x1b[0-~]?"
)
_SHOWN: Final = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], ""),
    **dict.fromkeys([*range(0x2028, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
    0x09: "\t",
    0x0A: "\n",
}
# Before a line feed (merged entries have some) a carriage return ends a line, and nothing is overwritten.
_RETURN: Final = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class VisiblePart:
    """The text between two carriage returns. A visible text shows its end, or all of it."""

    begin: int
    """Where it begins in the visible text."""
    covered: int
    """How many of its shown characters come before those that the visible text has."""
    offset: int
    """Where it begins in the entry."""
    raw: str
    """The text in the entry, escape sequences included."""


@dataclass(frozen=True, slots=True)
class VisibleText:
    """One text that an entry shows."""

    text: str
    parts: tuple[VisiblePart, ...]

    def origin(self, at: int) -> int:
        """Return where in the entry a character of the text is."""
        part = next(part for part in reversed(self.parts) if part.begin <= at)
        left, start = at - part.begin + part.covered, 0
        for found in _ESCAPE.finditer(part.raw):
            kept = len(part.raw[start : found.start()].translate(_SHOWN))
            if left < kept:
                break
            left, start = left - kept, found.end()
        for offset in range(start, len(part.raw)):
            if _SHOWN.get(ord(part.raw[offset])) != "":
                if left == 0:
                    return part.offset + offset
                left -= 1
        return part.offset + max(0, len(part.raw) - 1)


def visible_texts(text: str) -> list[VisibleText]:
    """Return the texts that an entry shows, without colours and other escape sequences.

    The text after a carriage return overwrites the text before it. Each of them is a text of its own, and so is what a
    terminal shows in the end.
    """
    if text.isprintable():
        return [VisibleText(text, (VisiblePart(0, 0, 0, text),))]
    ended = text.removesuffix("\r")
    if _RETURN.search(ended) is None:
        return [VisibleText(_shown(ended), (VisiblePart(0, 0, 0, ended),))]
    found: dict[str, VisibleText] = {}
    texts: list[str] = []
    parts: list[VisiblePart] = []
    begin = offset = 0
    # A carriage return overwrites a line; merged entries have several lines.
    for line in text.split("\n"):
        if offset:
            texts.append("\n")
            parts.append(VisiblePart(begin, 0, offset - 1, "\n"))
            begin += 1
        stretches: list[tuple[str, int, str]] = []
        start = offset
        for raw in line.removesuffix("\r").split("\r"):
            stretches.append((_shown(raw), start, raw))
            start += len(raw) + 1
        if len(stretches) > 1:
            for visible, start, raw in stretches:
                found.setdefault(visible, VisibleText(visible, (VisiblePart(0, 0, start, raw),)))
        left = _remaining(stretches)
        texts.append(left.text)
        parts.extend(replace(part, begin=begin + part.begin) for part in left.parts)
        begin += len(left.text)
        offset += len(line) + 1
    whole = VisibleText("".join(texts), tuple(parts))
    found.setdefault(whole.text, whole)
    return list(found.values())


def _shown(raw: str) -> str:
    return _ESCAPE.sub("", raw).translate(_SHOWN)


def _remaining(shown: list[tuple[str, int, str]]) -> VisibleText:
    """Return what remains of overwritten parts: of each, the end that no later part covers."""
    texts: list[str] = []
    parts: list[VisiblePart] = []
    length = 0
    for visible, offset, raw in reversed(shown):
        if len(visible) > length:
            texts.append(visible[length:])
            parts.append(VisiblePart(length, length, offset, raw))
            length = len(visible)
    return VisibleText("".join(texts), tuple(parts) or (VisiblePart(0, 0, 0, ""),))
