"""Lines that a container may write to block a viewer. Each has about the requested number of bytes."""

from collections.abc import Callable

from logferry_protocol.limits import MAX_ENTRY_BYTES

ESC = "\x1b"
LINK = f"{ESC}]8;;https://a.example/{ESC}\\"


def _times(unit: str, begin: str = "", end: str = "") -> Callable[[int], str]:
    return lambda size: begin + unit * ((size - len((begin + end).encode())) // len(unit.encode())) + end


def _nested(size: int) -> str:
    depth = size // 6
    return '{"a":' * depth + "1" + "}" * depth


HOSTILE: dict[str, Callable[[int], str]] = {
    "a frame of Go that is none": _times("a.", end="(!"),
    "frames of Go that are none": _times("a.(b"),
    "carets after a tab": _times("^", "\t", "!"),
    "brackets after an address": _times(")", "http://x"),
    "punctuation in an address": _times("!", "http://", "a"),
    "addresses": _times("http://a.example/x "),
    "names with dots in a hyperlink": _times("T.", LINK),
    "hyperlinks": _times(f"{LINK}x"),
    "colours": _times(f"{ESC}[31mx{ESC}[32my"),
    "carriage returns and erasures": _times(f"x{ESC}[1K\r"),
    "sequences without an end": _times(f"{ESC}["),
    "nested JSON": _nested,
    "no space": _times("x"),
    "words": _times("word "),
    "combining marks": _times("\u0301", "e"),
    "joined letters": _times("\u0628"),
    "letters that come apart": _times("\u0e33"),
    "tabs": _times("\t", end="x"),
    "brackets": _times("[", end="{"),
    "a level again and again": _times('"level":'),
}


def entries(line: str) -> list[str]:
    """Cut a line as an agent does: entries of at most 16 KiB of UTF-8, no character in two parts."""
    raw, found, at = line.encode(), [], 0
    while at < len(raw):
        end = min(at + MAX_ENTRY_BYTES, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        found.append(raw[at:end].decode())
        at = end
    return found
