"""Make what containers write safe for a terminal: colours stay, and all other controls are shown visibly.

A log line is untrusted data. Escape sequences in it can set the window's title, send input as if typed, rewrite lines
above, write to the clipboard or make links. A carriage return overwrites what is there, and direction marks reorder it.
So only `ESC [ … m` passes, reduced to colours and plain styles. Every other control becomes visible.
"""

from __future__ import annotations

import re
from typing import Final

_COLOUR: Final = re.compile(r"\x1b\[([0-9;:]{0,64})m")

# C0 except tab, ESC and DEL, C1, line and paragraph separators, and what changes the direction of text. LRM, RLM and
# ALM stay: they are ordinary in Hebrew and Arabic and affect only their neighbours.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f]"
)

RESET: Final = "\x1b[0m"

_STYLES: Final = frozenset(
    str(code)
    for code in (
        *(0, 1, 2, 3, 4, 7, 9, 21, 22, 23, 24, 27, 28, 29),
        *range(30, 38),
        *range(40, 48),
        *(39, 49, 53, 55, 59),
        *range(90, 98),
        *range(100, 108),
    )
)
"""Parameters that pass. 5, 6 (blinking) and 8 (conceal: text that is there but cannot be seen) do not."""


def sanitize_line(text: str, *, colours: bool = True) -> str:
    """Return one line as it may be written to a terminal.

    A last carriage return (Windows' line end) is dropped, since terminals ignore it.

    Args:
        text: The line.
        colours: Whether to keep colours.
    """
    text = text.removesuffix("\r")
    if not _CONTROL.search(text):
        return text
    kept: list[str] = []
    coloured = False
    position = 0
    for match in _COLOUR.finditer(text):
        kept.append(_shown(text[position : match.start()]))
        position = match.end()
        if colours and (parameters := _style(match.group(1))) is not None:
            kept.append(f"\x1b[{parameters}m")
            coloured = True
    kept.append(_shown(text[position:]))
    if coloured:
        kept.append(RESET)
    return "".join(kept)


def sanitize_word(text: str) -> str:
    """Return a name for a table or a sentence, without controls and line breaks."""
    return _shown(text)


def sanitize_json(document: str) -> str:
    """Return an equivalent JSON document that cannot control a terminal: controls in its strings are escaped."""
    return _CONTROL.sub(lambda match: match.group() if match.group() == "\n" else _escaped(match.group()), document)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _shown(text: str) -> str:
    return _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"<U+{code:04X}>"


def _style(parameters: str) -> str | None:
    """Return the parameters of a colour sequence that pass; None when none does. An empty list is a reset."""
    if not parameters:
        return "0"
    passing: list[str] = []
    fields = parameters.split(";")
    at = 0
    while at < len(fields):
        field = fields[at]
        at += 1
        if field in {"38", "48", "58"}:
            # The old form has a colour in several fields: 38;5;n or 38;2;r;g;b.
            length = {"5": 2, "2": 4}.get(fields[at] if at < len(fields) else "", 0)
            colour = fields[at : at + length]
            at += length
            if length and len(colour) == length and all(part.isdigit() and int(part) < 256 for part in colour[1:]):
                passing.append(";".join([field, *colour]))
        elif re.fullmatch(r"[345]8:[25](:[0-9]{0,3}){1,5}", field) or re.fullmatch(r"4:[0-5]", field):
            passing.append(field)
        elif (field.lstrip("0") or "0") in _STYLES:
            passing.append(field.lstrip("0") or "0")
    return ";".join(passing) if passing else None
