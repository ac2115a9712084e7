"""The files of one json-file log: the chain that rotation makes. Each file is held open until it is read.

The engine writes the newest file under the log's own name. A rotation renames it to `.1`, `.1` to `.2` and so on,
removes the oldest, may compress `.1` into another file, and begins a new file. A file held here stays readable whatever
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
"""Of a longer first record, only these first bytes are the head."""
_ROTATED: Final = re.compile(r"\.[1-9]\d{0,5}(\.gz)?")
_HOLE_TRIES: Final = 40
_HOLE_WAIT_S: Final = 0.001
"""Seconds between looks at a hole in the numbering. A rotation in progress makes one; if it stays, a file was removed.
"""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class LogFile:
    """One open file of a chain."""

    fd: int
    inode: int
    packed: _Readable | None = None
    """Reads the content of a compressed file, which no longer changes."""
    offset: int = 0
    """The offset behind the last record read, in the content where the file is compressed."""
    head: str = ""
    """Digest of the first record; empty while there is none."""
    ordinary_until: int = 0
    """Up to this offset the preencode process is not asked again."""
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
        """Bytes of the file that were not read; for a compressed file 1 if there are any, else 0."""
        if self.packed is not None:
            return 0 if self._finished else 1
        return max(0, self.size - self.offset)

    @property
    def deleted(self) -> bool:
        """Whether the file has no name left."""
        return os.fstat(self.fd).st_nlink == 0

    def read(self, size: int) -> bytes:
        """Return the bytes from `offset` on, at most `size`, without moving.

        Raises:
            OSError: The file cannot be read.
            EOFError: A compressed file ends early.
            zlib.error: A compressed file is damaged.
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
        """Move `offset` by `size` bytes."""
        self.offset += size
        if self.packed is not None:
            self._rest = self._rest[size:]

    def finish(self) -> None:
        """Skip the rest of the file."""
        self.offset = self.size
        self._finished = True

    def check_first_record(self) -> bool:
        """Learn the first record, or compare it.

        Returns:
            False when it is no longer what it was, so that the file was truncated.
        """
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
        """Return whether the file holds these bytes now, ending at offset `stop`."""
        return os.pread(self.fd, len(tag), stop - len(tag)) == tag

    def reopened(self) -> LogFile:
        """Return the same file, opened again to be read from its beginning."""
        fd = open_log(f"/proc/self/fd/{self.fd}")
        return LogFile(
            fd, self.inode, gzip.GzipFile(fileobj=os.fdopen(os.dup(fd), "rb")) if self.packed is not None else None
        )

    def restart(self) -> None:
        """Begin at offset 0 again, because the file was truncated."""
        self.offset = self.ordinary_until = 0
        self.head = ""

    def close(self) -> None:
        """Close the file."""
        if self.packed is not None:
            self.packed.close()
        os.close(self.fd)


def open_log_file(path: Path) -> LogFile:
    """Open one file of a chain.

    Raises:
        OSError: It does not exist, or may not be read.
    """
    fd = open_log(path)
    packed = gzip.GzipFile(fileobj=os.fdopen(os.dup(fd), "rb")) if path.suffix == ".gz" else None
    return LogFile(fd, os.fstat(fd).st_ino, packed)


def open_chain(path: Path) -> list[LogFile]:
    """Return the files of the log at `path`, oldest first.

    Returns:
        An empty list while a rotation is half done, or when the log does not exist.

    Raises:
        PermissionError: A file may not be read.
    """
    for patience in range(_HOLE_TRIES, -1, -1):
        names = _names(path)
        if not names:
            return []
        # A rotation renames one file after the other, the log itself last. Half done, it leaves a hole or shows one
        # file twice.
        whole = names[-1][0] == len(names) - 1
        if whole or patience == 0:
            chain = _open_all(path, names)
            if chain is not None:
                return chain
        time.sleep(_HOLE_WAIT_S)
    return []


def _names(path: Path) -> list[tuple[int, str, int]]:
    """Return number, name and inode of each file of the log, the log itself (0) first; none when it does not exist."""
    found: dict[int, tuple[int, str, int]] = {}
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for entry in entries:
            rest = entry.name.removeprefix(path.name)
            if rest == entry.name or (rest and not _ROTATED.fullmatch(rest)):
                continue
            number = int(rest.removeprefix(".").removesuffix(".gz") or 0)
            # While the engine compresses a file both forms exist, and only the plain one is complete.
            if number not in found or not rest.endswith(".gz"):
                with suppress(FileNotFoundError):
                    found[number] = (number, entry.name, entry.stat(follow_symlinks=False).st_ino)
    return [found[number] for number in sorted(found)] if 0 in found else []


def _open_all(path: Path, names: list[tuple[int, str, int]]) -> list[LogFile] | None:
    """Return the opened files, oldest first; None when they changed meanwhile."""
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
        # Without this, each attempt would leave files open.
        close_all(chain)
        raise
    close_all(chain)
    return None


def close_all(files: list[LogFile]) -> None:
    """Close files."""
    for file in files:
        file.close()


def is_same_file(one: LogFile, other: LogFile) -> bool:
    """Return whether two are the same file, or one is the other compressed."""
    if one.inode == other.inode and one.packed is None and other.packed is None:
        return True
    if (one.packed is None) == (other.packed is None):
        return False
    one.check_first_record()
    other.check_first_record()
    return one.head != "" and one.head == other.head
