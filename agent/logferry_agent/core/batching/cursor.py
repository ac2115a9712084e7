"""The cursor: where a container's log was read to, written by the agent for itself and kept by the cloud.

    1|o=1764000000123456789.1.9f86d081.0|e=…|a=o|f=131077.4096.9f86d081|l=s.1764000000000000000.0.0

One text serves both sources: the streams' marks are found again in any copy of the log, the file's place is the short
way when the file is still there. Only printable ASCII without quote and backslash, at most 1,024 characters (it needs
under 250).

What a later version writes may be unknown to an earlier one that takes its place again. So whatever changes, `o=`, `e=`
and `t=` begin with a time in nanoseconds, and `l=` stays as it is: `decode_damaged` goes by these, and by nothing else.

`n=` holds a letter for each kind of notice that the job has already.

`r=` is not the reader's: it is what processing has to know of the entries before (see core/batching/processing.py).
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
"""In `Cursor.notices`: the notices that a job begins with (see `Description.notices`)."""
LEFT_OUT: Final = "l"
"""In `Cursor.notices`: the container is not read any more."""
_LONG_NUMBER: Final = re.compile(r"[=.]-?\d{25}", re.ASCII)
"""No time, offset or count has so many digits."""


@dataclass(frozen=True, slots=True)
class FilePosition:
    """Where in which file: its inode, the offset behind the last record read, and a digest of the file's first
    record.

    The digest tells a file from a later one with the same inode, and finds it again once it was compressed.
    """

    inode: int
    offset: int
    head: str


@dataclass(frozen=True, slots=True)
class LifecycleCheckpoint:
    """The last life-cycle event recorded in the job.

    kind: `n` none, `s` a start (or restart), `x` an exit.
    started, ended: of the run it belongs to, nanoseconds since 1970.
    restarts: runs after the first, as told so far.
    """

    kind: Literal["n", "s", "x"] = "n"
    started: int = 0
    ended: int = 0
    restarts: int = 0


_UNREAD: Final = StreamPositions()


@dataclass(frozen=True, slots=True)
class Cursor:
    """All of it.

    pieces: entries that were already made of the fragment behind this place.
    after: while nothing of the log was read, only what is later than this is to be (nanoseconds since 1970); 0: all.
    told: letters of the notices that the job has, `FIRST_NOTICES` and `LEFT_OUT`.
    """

    stream_positions: StreamPositions = _UNREAD
    file_position: FilePosition | None = None
    life: LifecycleCheckpoint = LifecycleCheckpoint()
    pieces: int = 0
    after: int = 0
    notices: str = ""

    @property
    def begun(self) -> bool:
        """Whether anything of the log was read."""
        return self.stream_positions.read


class UnknownCursorError(ValueError):
    """The text is no cursor of this or an earlier version."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"not a cursor that this agent can read: {self.text[:64]!r}"


def encode(cursor: Cursor) -> str:
    """The cursor as text."""
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
    """The cursor that `encode` wrote; parts that a later version added are ignored.

    Raises:
        UnknownCursorError: it is no cursor.
    """
    version, *parts = text.split("|")
    if version != _VERSION or _LONG_NUMBER.search(text):
        raise UnknownCursorError(text)
    out, err, last, file_position, life, pieces, after, notices = (
        StreamPosition(),
        StreamPosition(),
        "",
        None,
        LifecycleCheckpoint(),
        0,
        0,
        "",
    )
    try:
        for part in parts:
            name, _, value = part.partition("=")
            fields = value.split(".")
            if name == "o":
                out = _mark(fields)
            elif name == "e":
                err = _mark(fields)
            elif name == "a":
                last = value if value in {"o", "e"} else ""
            elif name == "f":
                file_position = _place(fields)
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
    """What can be said of a cursor that `decode` refuses: after which time it is, and what was told of the life."""
    after = max(map(int, _TIME.findall(text)), default=0)
    found = _LIFE.search(text)
    if found is None:
        return Cursor(after=after)
    kind: Literal["s", "x"] = "x" if found[1] == "x" else "s"
    return Cursor(life=LifecycleCheckpoint(kind, int(found[2]), int(found[3]), int(found[4])), after=after)


def with_processing_state(text: str, letters: str) -> str:
    """The same cursor with what processing has to know there; readers of a log ignore it."""
    return f"{text}{_STATE}{letters}" if letters else text


def processing_state_of(text: str) -> str:
    """What `with_processing_state` said."""
    _, mark, letters = text.rpartition(_STATE)
    return letters if mark and letters.isalpha() else ""


def skip_cursor(cursor: str | None, entries: int) -> str:
    """The cursor that means: from `cursor`, but leave out so many entries."""
    base, skipped = split_cursor(cursor)
    total = skipped + entries
    return f"{base or ''}~{total}" if total else base or ""


def split_cursor(cursor: str | None) -> tuple[str | None, int]:
    """The source's own cursor, and how many entries to leave out after it."""
    if cursor is None:
        return None, 0
    base, mark, count = cursor.rpartition("~")
    if not mark or not count.isdigit():
        return cursor or None, 0
    return base or None, int(count)


def _place(fields: list[str]) -> FilePosition | None:
    """Return the place in a file; None where no file has such a one, as the marks tell where reading was to."""
    file_position = FilePosition(int(fields[0]), int(fields[1]), fields[2])
    return file_position if 0 <= file_position.inode < 1 << 64 and 0 <= file_position.offset < 1 << 63 else None


def _mark(fields: list[str]) -> StreamPosition:
    return StreamPosition(int(fields[0]), int(fields[1]), fields[2], fields[3] == "1")
