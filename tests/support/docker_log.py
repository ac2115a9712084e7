"""Re-implement for tests what the engine does between a container's output and its log."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from logferry_agent.core.parsing.timestamps import format_stamp

PIECE = 16_384
START = 1_764_000_000_000_000_000


@dataclass(frozen=True)
class LogFragment:
    """One log entry of the engine's: a fragment, with its newline if it has one."""

    stream: str
    stamp: int
    data: bytes


class DockerLogWriter:
    """Split a container's output into fragments, as moby's Copier does.

    Lines, 16 KiB parts of longer ones, and the rest.
    """

    def __init__(self, start: int = START) -> None:
        self.now = start
        self._open = {"o": b"", "e": b""}
        self._stamp: dict[str, int | None] = {"o": None, "e": None}

    def write(self, stream: str, data: bytes) -> list[LogFragment]:
        """Take output of the container."""
        made: list[LogFragment] = []
        buffered = self._open[stream] + data
        start = 0
        while True:
            newline = buffered.find(b"\n", start, start + PIECE)
            if newline >= 0:
                made.append(self._piece(stream, buffered[start : newline + 1]))
                self._stamp[stream] = None
                start = newline + 1
            elif len(buffered) - start >= PIECE:
                made.append(self._piece(stream, buffered[start : start + PIECE]))
                start += PIECE
            else:
                break
        self._open[stream] = buffered[start:]
        return made

    def end(self) -> list[LogFragment]:
        """Flush at the container's exit."""
        made = [self._piece(stream, data) for stream, data in self._open.items() if data]
        self._open = {"o": b"", "e": b""}
        self._stamp = {"o": None, "e": None}
        return made

    def _piece(self, stream: str, data: bytes) -> LogFragment:
        self.now += 1_000
        stamp = self._stamp[stream] or self.now
        self._stamp[stream] = stamp
        return LogFragment(stream, stamp, data)


def record(piece: LogFragment) -> bytes:
    """Return the fragment in a json-file, which trims zeros off times and replaces invalid UTF-8."""
    stamp = format_stamp(piece.stamp)[:-1].rstrip("0").rstrip(".") + "Z"
    name = "stdout" if piece.stream == "o" else "stderr"
    log = {"log": piece.data.decode("utf-8", "replace"), "stream": name, "time": stamp}
    return json.dumps(log, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def frame(piece: LogFragment) -> bytes:
    """Return the fragment in the API's multiplexed stream."""
    payload = format_stamp(piece.stamp).encode() + b" " + piece.data
    return bytes([1 if piece.stream == "o" else 2, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def chunked(parts: Iterable[bytes]) -> bytes:
    """Return each part as one chunk of HTTP's chunked coding, and the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class JsonFile:
    """Write one container's json-file log: append records, rotate as moby's loggerutils does.

    cuts: with a single file, truncate it as engines before 23.0 did.
    """

    def __init__(
        self, path: Path, *, max_size: int = 0, max_file: int = 1, compress: bool = False, cuts: bool = False
    ) -> None:
        self.path = path
        self.dropped = 0
        """Records that rotation removed from the disk."""
        self._max_size, self._max_file, self._compress, self._cuts = max_size, max_file, compress, cuts
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, pieces: Iterable[LogFragment]) -> None:
        """Append records."""
        for piece in pieces:
            if self._max_size and os.fstat(self._file.fileno()).st_size >= self._max_size:
                self.rotate()
            self._file.write(record(piece))

    def rotate(self) -> None:
        """Start a new file."""
        self._file.close()
        if self._max_file < 2:
            if self._cuts:
                self._file = self.path.open("wb", buffering=0)
                return
            self.path.unlink()
        else:
            suffix = ".gz" if self._compress else ""
            for number in range(self._max_file - 1, 1, -1):
                older = self._numbered(number - 1, suffix)
                if older.exists():
                    older.rename(self._numbered(number, suffix))
            self.path.rename(self._numbered(1, ""))
            if self._compress:
                plain = self._numbered(1, "")
                self._numbered(1, ".gz").write_bytes(gzip.compress(plain.read_bytes()))
                plain.unlink()
        self._file = self.path.open("ab", buffering=0)

    def remove(self) -> None:
        """Remove the log with its container."""
        self._file.close()
        for file in self.path.parent.iterdir():
            file.unlink()
        self.path.parent.rmdir()

    def close(self) -> None:
        """Close the log at the container's exit."""
        self._file.close()

    def _numbered(self, number: int, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{suffix}")
