"""The files of one json-file log: the chain that rotation makes, each link held open until it is read.

The engine writes the last link under the log's own name; a rotation renames it to `.1`, `.1` to `.2` and so on, drops
the oldest, perhaps compresses `.1` into another file, and begins a new one. A link held here stays readable whatever
becomes of its name.
"""

from __future__ import annotations

import gzip
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

from ..core.batching.preencode import TAG_BYTES
from .descriptors import open_log

_HEAD_BYTES: Final = 131_072
"""A first record longer than this is not waited for: its first bytes are the head."""
_ROTATED: Final = re.compile(r"\.[1-9]\d{0,5}(\.gz)?")
_HOLE_TRIES: Final = 40
_HOLE_WAIT_S: Final = 0.001
"""A hole in the numbering is waited for, as it is a rotation at work; if it stays, somebody removed a file."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class LogFile:
    """One file of a chain, open."""

    fd: int
    inode: int
    packed: _Readable | None = None
    """Reads the content of a compressed file, which never changes any more."""
    offset: int = 0
    """Behind the last record read; of a compressed file's content likewise."""
    head: str = ""
    """Digest of the first record; empty while there is none."""
    unpressed_until: int = 0
    """Up to this offset the press is not asked again."""
    _tag: bytes = b""
    _tag_end: int = 0
    _rest: bytes = b""
    _finished: bool = False

    @property
    def size(self) -> int:
        """Bytes of the file now."""
        return os.fstat(self.fd).st_size

    @property
    def unread(self) -> int:
        """Bytes of the file that were not read; of a compressed one only whether there are any, 0 or 1."""
        if self.packed is not None:
            return 0 if self._finished else 1
        return max(0, self.size - self.offset)

    @property
    def deleted(self) -> bool:
        """Whether no name is left for it."""
        return os.fstat(self.fd).st_nlink == 0

    def read(self, size: int) -> bytes:
        """Bytes from `offset` on, as many as there are up to `size`; does not move.

        Raises:
            OSError, EOFError, zlib.error: it cannot be read.
        """
        if self.packed is None:
            return os.pread(self.fd, size, self.offset)
        while len(self._rest) < size:
            more = self.packed.read(size - len(self._rest))
            if not more:
                break
            self._rest += more
        return self._rest[:size]

    def advance(self, size: int) -> None:
        """`size` bytes from `offset` on are done with."""
        self.offset += size
        if self.packed is not None:
            self._rest = self._rest[size:]

    def finish(self) -> None:
        """Nothing more is wanted of it."""
        self.offset = self.size
        self._finished = True

    def head_holds(self) -> bool:
        """Learn the first record, or compare it: False when it is no longer what it was, so that the file was cut."""
        if self.head:
            return self.packed is not None or self.holds(self._tag, self._tag_end)
        data = self.read(_HEAD_BYTES) if self.packed is not None else os.pread(self.fd, _HEAD_BYTES, 0)
        newline = data.find(b"\n")
        if newline >= 0 or len(data) >= _HEAD_BYTES:
            record = data[: newline + 1] if newline >= 0 else data
            self.head = blake2b(record, digest_size=4).hexdigest()
            self._tag, self._tag_end = record[-TAG_BYTES:], len(record)
        return True

    def holds(self, tag: bytes, stop: int) -> bool:
        """Whether these bytes end at an offset of the file, now."""
        return os.pread(self.fd, len(tag), stop - len(tag)) == tag

    def reopened(self) -> LogFile:
        """The same file, to be read from its beginning by itself."""
        fd = open_log(f"/proc/self/fd/{self.fd}")
        return LogFile(
            fd, self.inode, gzip.GzipFile(fileobj=os.fdopen(os.dup(fd), "rb")) if self.packed is not None else None
        )

    def restart(self) -> None:
        """The file was cut: it begins anew."""
        self.offset = self.unpressed_until = 0
        self.head = ""

    def close(self) -> None:
        """Let the file go."""
        if self.packed is not None:
            self.packed.close()
        os.close(self.fd)


def open_log_file(path: Path) -> LogFile:
    """Open one file of a chain.

    Raises:
        OSError: it is not there, or may not be read.
    """
    fd = open_log(path)
    packed = gzip.GzipFile(fileobj=os.fdopen(os.dup(fd), "rb")) if path.suffix == ".gz" else None
    return LogFile(fd, os.fstat(fd).st_ino, packed)


def open_chain(path: Path) -> list[LogFile]:
    """Every file of the log at `path`, oldest first; none while a rotation is half done or the log is not there.

    Raises:
        PermissionError: a file may not be read.
    """
    for patience in range(_HOLE_TRIES, -1, -1):
        names = _names(path)
        if not names:
            return []
        # A rotation renames one file after the other, the log itself last. Half done it leaves a hole, or shows one
        # file twice.
        whole = names[-1][0] == len(names) - 1
        if whole or patience == 0:
            chain = _open_all(path, names)
            if chain is not None:
                return chain
        time.sleep(_HOLE_WAIT_S)
    return []


def _names(path: Path) -> list[tuple[int, str, int]]:
    """Number, name and inode of each file of the log, the log itself (0) first; none when it is not there."""
    found: dict[int, tuple[int, str, int]] = {}
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for entry in entries:
            rest = entry.name.removeprefix(path.name)
            if rest == entry.name or (rest and not _ROTATED.fullmatch(rest)):
                continue
            number = int(rest.removeprefix(".").removesuffix(".gz") or 0)
            # While the engine compresses a file both forms are there, and only the plain one is whole.
            if number not in found or not rest.endswith(".gz"):
                with suppress(FileNotFoundError):
                    found[number] = (number, entry.name, entry.stat(follow_symlinks=False).st_ino)
    return [found[number] for number in sorted(found)] if 0 in found else []


def _open_all(path: Path, names: list[tuple[int, str, int]]) -> list[LogFile] | None:
    """The files, oldest first; None when they are not what they were any more."""
    chain: list[LogFile] = []
    try:
        for _, name, inode in names:
            chain.append(open_log_file(path.with_name(name)))
            if chain[-1].inode != inode:
                break
        else:
            if _names(path) == names and len({inode for _, _, inode in names}) == len(names):
                chain.reverse()
                return chain
    except FileNotFoundError:
        pass
    except OSError:
        # Each try would leave those before it open.
        close_all(chain)
        raise
    close_all(chain)
    return None


def close_all(links: list[LogFile]) -> None:
    """Let files go."""
    for link in links:
        link.close()


def is_same_file(one: LogFile, other: LogFile) -> bool:
    """Whether two links are one file, or one is the other compressed."""
    if one.inode == other.inode and one.packed is None and other.packed is None:
        return True
    if (one.packed is None) == (other.packed is None):
        return False
    one.head_holds()
    other.head_holds()
    return one.head != "" and one.head == other.head
