"""The cursor: the position up to which a container's log was read. The agent writes it and the cloud stores it.

    1|o=1764000000123456789.1.9f86d081.0|e=…|a=o|f=131077.4096.9f86d081|l=s.1764000000000000000.0.0

One text serves both sources. The stream positions (`o=`, `e=`) are found again in any copy of the log. The file
position (`f=`) is the fast path while the file still exists. A cursor holds only printable ASCII without quote and
backslash, at most 1,024 characters (in practice under 250).

A later version may write parts that an earlier version does not know when it takes over again. So in every version,
`o=`, `e=` and `t=` begin with a time in nanoseconds, and `l=` keeps its form. `decode_damaged` relies on these parts
and on nothing else.

`n=` holds one letter for each kind of notice that the job already has.

`r=` does not belong to the reader: it is what processing has to know of the entries before (see processing.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from ..parsing.fragments import StreamPosition, StreamPositions

_VERSION: Final = "1"
_TIME: Final = re.compile(r"[|][oet]=(\d{19})(?!\d)", re.ASCII)
_LIFE: Final = re.compile(r"[|]l=([sx])\.(\d{1,19})\.(\d{1,19})\.(\d{1,9})(?![^|])", re.ASCII)
_STATE: Final = "|r="
FIRST_NOTICES: Final = "b"
"""In `Cursor.notices`: the notices that a job begins with (see `ContainerMetadata.notices`)."""
LEFT_OUT: Final = "l"
"""In `Cursor.notices`: the notice that the container is not read any more."""
_LONG_NUMBER: Final = re.compile(r"[=.]-?\d{25}", re.ASCII)
"""No time, offset or count has so many digits."""


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A position in a log file."""

    inode: int
    offset: int
    """The offset after the last record that was read."""
    head: str
    """A digest of the file's first record. It distinguishes the file from a later one with the same inode, and finds
    the file again after it was compressed."""


@dataclass(frozen=True, slots=True)
class LifecycleCheckpoint:
    """The last lifecycle event that is recorded in the job."""

    kind: Literal["n", "s", "x"] = "n"
    """`n` none, `s` a start (or restart), `x` an exit."""
    started: int = 0
    """When its run started, in nanoseconds since 1970."""
    ended: int = 0
    """When its run ended, in nanoseconds since 1970."""
    restarts: int = 0
    """Number of recorded runs after the first."""


_UNREAD: Final = StreamPositions()


@dataclass(frozen=True, slots=True)
class Cursor:
    """A decoded cursor."""

    stream_positions: StreamPositions = _UNREAD
    file_position: FilePosition | None = None
    life: LifecycleCheckpoint = LifecycleCheckpoint()
    pieces: int = 0
    """Number of entries that were already made of the fragment after this position."""
    after: int = 0
    """While nothing of the log was read: read only what is later than this (nanoseconds since 1970); 0: all of it."""
    notices: str = ""
    """Letters of the notices that the job has: `FIRST_NOTICES` and `LEFT_OUT`."""

    @property
    def begun(self) -> bool:
        """Return whether anything of the log was read."""
        return self.stream_positions.read


class UnknownCursorError(ValueError):
    """The text is not a cursor of this or an earlier version."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"not a cursor that this agent can read: {self.text[:64]!r}"


def encode(cursor: Cursor) -> str:
    """Return the cursor as text."""
    parts = [_VERSION]
    for letter, mark in (("o", cursor.stream_positions.out), ("e", cursor.stream_positions.err)):
        if mark.read:
            parts.append(f"{letter}={mark.stamp}.{mark.ordinal}.{mark.digest}.{int(mark.open)}")
    if cursor.stream_positions.last:
        parts.append(f"a={cursor.stream_positions.last}")
    if cursor.file_position is not None:
        parts.append(f"f={cursor.file_position.inode}.{cursor.file_position.offset}.{cursor.file_position.head}")
    if cursor.life.kind != "n":
        parts.append(f"l={cursor.life.kind}.{cursor.life.started}.{cursor.life.ended}.{cursor.life.restarts}")
    if cursor.pieces:
        parts.append(f"k={cursor.pieces}")
    if cursor.after and not cursor.begun:
        parts.append(f"t={cursor.after}")
    if cursor.notices:
        parts.append(f"n={cursor.notices}")
    return "|".join(parts)


def decode(text: str) -> Cursor:
    """Return the cursor that `encode` wrote. Parts that a later version added are ignored.

    Raises:
        UnknownCursorError: the text is not a cursor.
    """
    version, *parts = text.split("|")
    if version != _VERSION or _LONG_NUMBER.search(text):
        raise UnknownCursorError(text)
    out = err = StreamPosition()
    last = notices = ""
    file_position: FilePosition | None = None
    life = LifecycleCheckpoint()
    pieces = after = 0
    try:
        for part in parts:
            name, _, value = part.partition("=")
            fields = value.split(".")
            if name == "o":
                out = _stream_position(fields)
            elif name == "e":
                err = _stream_position(fields)
            elif name == "a":
                last = value if value in {"o", "e"} else ""
            elif name == "f":
                file_position = _file_position(fields)
            elif name == "l":
                kind: Literal["s", "x"] = "x" if fields[0] == "x" else "s"
                life = LifecycleCheckpoint(kind, int(fields[1]), int(fields[2]), int(fields[3]))
            elif name == "k":
                pieces = max(0, int(value))
            elif name == "t":
                after = int(value)
            elif name == "n":
                notices = "".join(letter for letter in (FIRST_NOTICES, LEFT_OUT) if letter in value)
    except (ValueError, IndexError):
        raise UnknownCursorError(text) from None
    return Cursor(StreamPositions(out, err, last), file_position, life, pieces, after, notices)


def decode_damaged(text: str) -> Cursor:
    """Return what is certain about a cursor that `decode` refuses: its time, and the last recorded lifecycle event."""
    after = max(map(int, _TIME.findall(text)), default=0)
    found = _LIFE.search(text)
    if found is None:
        return Cursor(after=after)
    kind: Literal["s", "x"] = "x" if found[1] == "x" else "s"
    return Cursor(life=LifecycleCheckpoint(kind, int(found[2]), int(found[3]), int(found[4])), after=after)


def with_processing_state(text: str, letters: str) -> str:
    """Return the cursor with the state of processing at that position. Sources ignore the state."""
    return f"{text}{_STATE}{letters}" if letters else text


def processing_state_of(text: str) -> str:
    """Return the state that `with_processing_state` added; empty when there is none."""
    _, mark, letters = text.rpartition(_STATE)
    return letters if mark and letters.isalpha() else ""


def skip_cursor(cursor: str | None, entries: int) -> str:
    """Return the cursor that means: continue from `cursor`, but leave out this many entries."""
    base, skipped = split_cursor(cursor)
    total = skipped + entries
    return f"{base or ''}~{total}" if total else base or ""


def split_cursor(cursor: str | None) -> tuple[str | None, int]:
    """Return the source's own cursor, and how many entries to leave out after it."""
    if cursor is None:
        return None, 0
    base, mark, count = cursor.rpartition("~")
    if not mark or not count.isdigit():
        return cursor or None, 0
    return base or None, int(count)


def _file_position(fields: list[str]) -> FilePosition | None:
    """Return the position in a file; None for numbers that no file has. The stream positions are used then."""
    file_position = FilePosition(int(fields[0]), int(fields[1]), fields[2])
    return file_position if 0 <= file_position.inode < 1 << 64 and 0 <= file_position.offset < 1 << 63 else None


def _stream_position(fields: list[str]) -> StreamPosition:
    return StreamPosition(int(fields[0]), int(fields[1]), fields[2], fields[3] == "1")
