"""Text as a terminal and the viewer show it: what a search looks through. Linear in the text."""

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
# Before a line feed (merged entries have some) it ends a line, and nothing is written over.
_RETURN: Final = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class VisiblePart:
    """A stretch between carriage returns, of which a reading shows the end or all."""

    begin: int
    """Where it begins in the reading."""
    covered: int
    """How many of its own characters, as shown, stand before what the reading shows of it."""
    stood: int
    """Where it stood in the entry."""
    raw: str
    """As it stood there, escape sequences included."""


@dataclass(frozen=True, slots=True)
class VisibleText:
    """One way in which an entry can be read."""

    text: str
    parts: tuple[VisiblePart, ...]

    def origin(self, at: int) -> int:
        """Return where in the entry a character of the text stood."""
        part = next(part for part in reversed(self.parts) if part.begin <= at)
        left, place = at - part.begin + part.covered, 0
        for found in _ESCAPE.finditer(part.raw):
            kept = len(part.raw[place : found.start()].translate(_SHOWN))
            if left < kept:
                break
            left, place = left - kept, found.end()
        for offset in range(place, len(part.raw)):
            if _SHOWN.get(ord(part.raw[offset])) != "":
                if left == 0:
                    return part.stood + offset
                left -= 1
        return part.stood + max(0, len(part.raw) - 1)


def visible_texts(text: str) -> list[VisibleText]:
    """Return an entry's text without colours and other escape sequences, in each way in which it can be read.

    What comes after a carriage return is written over what was before it: each is a reading of its own, and so is what
    a terminal shows in the end.
    """
    if text.isprintable():
        return [VisibleText(text, (VisiblePart(0, 0, 0, text),))]
    ended = text.removesuffix("\r")
    if _RETURN.search(ended) is None:
        return [VisibleText(_shown(ended), (VisiblePart(0, 0, 0, ended),))]
    found: dict[str, VisibleText] = {}
    texts: list[str] = []
    parts: list[VisiblePart] = []
    begin = stood = 0
    # What is written over is a line; entries that were merged have several.
    for line in text.split("\n"):
        if stood:
            texts.append("\n")
            parts.append(VisiblePart(begin, 0, stood - 1, "\n"))
            begin += 1
        stretches: list[tuple[str, int, str]] = []
        place = stood
        for raw in line.removesuffix("\r").split("\r"):
            stretches.append((_shown(raw), place, raw))
            place += len(raw) + 1
        if len(stretches) > 1:
            for visible, place, raw in stretches:
                found.setdefault(visible, VisibleText(visible, (VisiblePart(0, 0, place, raw),)))
        left = _left_standing(stretches)
        texts.append(left.text)
        parts.extend(replace(part, begin=begin + part.begin) for part in left.parts)
        begin += len(left.text)
        stood += len(line) + 1
    whole = VisibleText("".join(texts), tuple(parts))
    found.setdefault(whole.text, whole)
    return list(found.values())


def _shown(raw: str) -> str:
    return _ESCAPE.sub("", raw).translate(_SHOWN)


def _left_standing(shown: list[tuple[str, int, str]]) -> VisibleText:
    """Of each stretch, what no later one is long enough to cover."""
    texts: list[str] = []
    parts: list[VisiblePart] = []
    length = 0
    for visible, stood, raw in reversed(shown):
        if len(visible) > length:
            texts.append(visible[length:])
            parts.append(VisiblePart(length, length, stood, raw))
            length = len(visible)
    return VisibleText("".join(texts), tuple(parts) or (VisiblePart(0, 0, 0, ""),))
