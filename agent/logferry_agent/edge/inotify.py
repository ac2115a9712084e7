"""Linux's inotify, as much as is needed here: which watched folders changed, and what happened to names in them.

With it 200 idle containers cost nothing, a file is opened the moment it exists, and no rotation passes uncounted.
Where it is not to be had (not Linux, limits used up) `Watcher.usable` is False for that folder and readers fall back
to looking.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

MODIFIED: Final = 0x2
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATED: Final = 0x100
DELETED: Final = 0x200
DELETED_SELF: Final = 0x400
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
_ONLY_FOLDERS: Final = 0x1000000
_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """What happened: `mask` of the flags above, in the folder `watch`, to `name` (empty: to the folder itself)."""

    watch: int
    mask: int
    name: str


class Watcher:
    """One inotify instance. Not thread-safe but for `wake`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._closed = False
        """Once closed, its descriptors' numbers may belong to others."""
        self._waker, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._waker, select.POLLIN)
        self._fd = -1
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except (OSError, AttributeError):
            self._fd = -1
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLIN)

    def watch(self, folder: str, mask: int) -> int | None:
        """Watch a folder; None when that is not possible (it is gone, or the system's limits are used up)."""
        if self._fd < 0:
            return None
        number = int(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), ctypes.c_uint32(mask | _ONLY_FOLDERS)))
        return number if number >= 0 else None

    def unwatch(self, watch: int) -> None:
        """Stop watching; a folder that is gone is none of it already."""
        if self._fd >= 0:
            self._libc.inotify_rm_watch(self._fd, watch)

    def wait(self, timeout_s: float) -> list[Change]:
        """Changes, as soon as there are any, or after the timeout or `wake` none."""
        ready = self._poll.poll(max(0, timeout_s * 1_000))
        for fd, _ in ready:
            if fd == self._waker:
                self._drain()
        return self._changes() if any(fd == self._fd for fd, _ in ready) else []

    def wake(self) -> None:
        """End a `wait` from another thread."""
        with self._lock, suppress(BlockingIOError):  # it is full of wakes already
            if not self._closed:
                os.write(self._woken, b"w")

    def close(self) -> None:
        """Watch nothing any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for fd in (self._fd, self._waker, self._woken):
                if fd >= 0:
                    os.close(fd)
            self._fd = -1

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._waker, _READ_BYTES)

    def _changes(self) -> list[Change]:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return []
        found = []
        position = 0
        while position < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size
            name = data[position : position + length].rstrip(b"\0").decode("utf-8", "backslashreplace")
            position += length
            found.append(Change(watch, mask, name))
        return found
