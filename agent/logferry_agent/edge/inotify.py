"""The part of Linux's inotify that the agent needs: which watched folders changed, and what happened to names in them.

With it 200 idle containers cost nothing, a file is opened as soon as it exists, and every rotation is counted. Where it
is not available (not Linux, limits used up) `Watcher.watch` returns None for that folder, and readers poll.

Growth is watched in an instance of its own. It is nearly all that happens, and a reader that has just read need not be
woken by every line. The kernel merges equal events meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
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
    """An event: flags `mask` (above), in the folder `watch`, about `name` (empty: about the folder itself)."""

    watch: int
    mask: int
    name: str


class Watcher:
    """Watches folders. Only `wake` is thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._closed = False
        """After closing, the descriptors' numbers may belong to other files."""
        self._waker, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._names = self._growth = -1
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._names = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            self._growth = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except (OSError, AttributeError):
            pass
        self._grows: dict[int, int] = {}
        """A folder's watch for growth, by its watch for names."""
        self._named: dict[int, int] = {}
        """The inverse."""
        self._poll, self._poll_all = select.poll(), select.poll()
        for fd in (self._waker, self._names):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)
                self._poll_all.register(fd, select.POLLIN)
        if self._growth >= 0:
            self._poll_all.register(self._growth, select.POLLIN)

    def watch(self, folder: str, mask: int) -> int | None:
        """Watch a folder. Return None when that is impossible: it is gone, or the system's limits are used up."""
        number = self._add(self._names, folder, mask & ~MODIFIED)
        if number is None or not mask & MODIFIED:
            return number
        growth = self._add(self._growth, folder, MODIFIED)
        if growth is None:
            self.unwatch(number)
            return None
        self._grows[number], self._named[growth] = growth, number
        return number

    def unwatch(self, watch: int) -> None:
        """Stop watching. The kernel has already dropped the watch of a deleted folder."""
        if self._names >= 0:
            self._libc.inotify_rm_watch(self._names, watch)
        if (growth := self._grows.pop(watch, None)) is not None:
            self._named.pop(growth, None)
            self._libc.inotify_rm_watch(self._growth, growth)

    def wait(self, timeout_s: float, *, growth: bool = True) -> list[Change]:
        """Wait for changes and return them; none after the timeout or `wake`.

        Args:
            timeout_s: Seconds to wait.
            growth: Whether MODIFIED ends the wait. If not, it is kept for later. OVERFLOW with MODIFIED means that only
                growth was missed.
        """
        poll = self._poll_all if growth else self._poll
        ready = {fd for fd, _ in poll.poll(max(0, timeout_s * 1_000))}
        if self._waker in ready:
            self._drain()
        found = self._changes(self._names) if self._names in ready else []
        if self._growth in ready:
            found += self._grown()
        return found

    def wake(self) -> None:
        """End a `wait`, from another thread."""
        with self._lock, suppress(BlockingIOError):  # the pipe is full of wakes already
            if not self._closed:
                os.write(self._woken, b"w")

    def close(self) -> None:
        """Close all descriptors."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for fd in (self._names, self._growth, self._waker, self._woken):
                if fd >= 0:
                    os.close(fd)
            self._names = self._growth = -1

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._waker, _READ_BYTES)

    def _add(self, instance: int, folder: str, mask: int) -> int | None:
        if instance < 0:
            return None
        number = int(self._libc.inotify_add_watch(instance, os.fsencode(folder), ctypes.c_uint32(mask | _ONLY_FOLDERS)))
        return number if number >= 0 else None

    def _grown(self) -> list[Change]:
        found = []
        for change in self._changes(self._growth):
            if change.mask & OVERFLOW:
                found.append(replace(change, mask=OVERFLOW | MODIFIED))
            elif change.mask & IGNORED:  # the folder is gone, which the other instance reports
                self._grows.pop(self._named.pop(change.watch, -1), None)
            elif (number := self._named.get(change.watch)) is not None:
                found.append(replace(change, watch=number))
        return found

    def _changes(self, instance: int) -> list[Change]:
        try:
            data = os.read(instance, _READ_BYTES)
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
