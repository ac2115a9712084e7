"""Script an engine's logs API for one container, as lossy and repetitive as real ones are.

A test gives *acts*; each is carried out when the reader next waits: in a follow stream's read, or when it requests the
log again. A read that does not follow gives everything kept; a follow stream may omit, repeat, break off or fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.support.docker_log import PIECE, DockerLogWriter, LogFragment, frame

from logferry_agent.core.batching import read_throttle
from logferry_agent.edge import api_source, log_follow
from logferry_agent.edge.docker_client import EngineUnavailableError
from logferry_protocol.backoff import Backoff

Act = tuple[str, int]
"""
- `write` n: n lines, which a follow stream gives
- `lose` n: n lines, which a follow stream omits
- `long` n: n full fragments of an open line, which a follow stream gives
- `lose_long` n: the same, which it omits
- `step` n: the clock is set back by a minute; then n lines of stderr, and n fragments as of `lose_long`
- `rotate` n: the n oldest kept lines are removed, but never the last one
- `repeat` n: a follow stream gives the last n lines again
- `calm` _: nothing arrives for a while
- `stall` _: a follow stream stays open and gives nothing more
- `end` _: a follow stream ends
- `fail` _: a follow stream ends with the engine's error
- `break` _: the connection breaks
- `damage` _: a read of the log from before here ends here
"""


class FakeLog:
    """The log and its engine. `source` must be set before anything is read."""

    def __init__(self, acts: list[Act]) -> None:
        self.acts = list(acts)
        self.copier = DockerLogWriter()
        self.entries: list[LogFragment] = []
        self.first = 0
        """How many entries are no longer kept."""
        self.damaged = -1
        """Reads that begin before this entry end in front of it."""
        self.clock = 0.0
        self.calm_s = 100.0
        self.written = 0
        self.asked: list[tuple[bool, int | None]] = []
        self.together: list[int] = []
        """The byte limit of each read."""
        self.served = 0
        """Entries given by all responses."""
        self.stops: Callable[[], None] = lambda: None
        self.form: Callable[[LogFragment], bytes] = frame
        """Encodes an entry: in a frame, or without one as for a TTY."""

    def logs(self, container: str, *, follow: bool, tail: int | None = None, since: int = 0) -> FakeResponse:
        self.asked.append((follow, tail))
        if not follow:
            self.act()
        start = self.first if tail is None else max(self.first, len(self.entries) - tail)
        while start < len(self.entries) and self.entries[start].stamp < since:
            start += 1
        return FakeResponse(self, start, follow=follow)

    def act(self) -> tuple[str, list[LogFragment]]:
        """Carry out the next act: its name, and what a follow stream gives of it."""
        if not self.acts:
            self.stops()
            return "end", []
        name, count = self.acts.pop(0)
        given: list[LogFragment] = []
        if name in {"write", "lose"}:
            made = [piece for _ in range(count) for piece in self.copier.write("o", b"line %d\n" % self._next())]
            self.entries += made
            given = made if name == "write" else []
        elif name in {"long", "lose_long"}:
            made = self.copier.write("o", b"x" * PIECE * count)
            self.entries += made
            given = made if name == "long" else []
        elif name == "step":
            self.copier.now -= 60_000_000_000
            self.entries += [piece for _ in range(count) for piece in self.copier.write("e", b"late\n")]
            self.entries += self.copier.write("o", b"x" * PIECE * count)
        elif name == "rotate":
            self.first = max(self.first, min(len(self.entries) - 1, self.first + count))
        elif name == "repeat":
            given = self.entries[max(self.first, len(self.entries) - count) :]
        elif name == "calm":
            self.clock += self.calm_s
        elif name == "damage":
            self.damaged = len(self.entries)
        return name, given

    def _next(self) -> int:
        self.written += 1
        return self.written - 1


class FakeResponse:
    """One response's body, a chunk for each entry."""

    chunked = True

    def __init__(self, log: FakeLog, start: int, *, follow: bool) -> None:
        self._log, self._follow = log, follow
        self._closed = False
        self._ended = Event()
        stop = len(log.entries)
        cut = start <= log.damaged < stop
        self._waiting = log.entries[start : log.damaged if cut else stop]
        self._last = not follow or cut

    def read(self, *, together: int = 0) -> bytes:
        self._log.together.append(together)
        while not self._closed:
            if self._waiting:
                given, self._waiting = self._waiting, []
                self._log.served += len(given)
                return b"".join(_chunk(self._log.form(piece)) for piece in given)
            if self._last:
                return b""
            name, self._waiting = self._log.act()
            if name == "stall":
                assert self._ended.wait(60), "nobody asks whether the stream is still alive"
                raise EngineUnavailableError("closed")
            if name == "break":
                raise EngineUnavailableError("cut")
            if name == "fail":
                self._last = True
                message = b"Error grabbing logs: no such file or directory\n"
                return _chunk(bytes([3, 0, 0, 0]) + len(message).to_bytes(4, "big") + message)
            self._last = name == "end"
        return b""

    def close(self) -> None:
        self._closed = True
        self._ended.set()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def without_waits(log: FakeLog, *, rest_s: float = 0.0) -> Iterator[None]:
    """Remove all waits except pauses: the source sees the log's own clock."""
    clock = SimpleNamespace(monotonic=lambda: log.clock, time_ns=lambda: 1_764_000_000_000_000_000)
    waits: dict[str, Any] = {"_RETRY": Backoff(0.0, 0.0), "_FOLLOW_AGAIN": Backoff(0.0, 0.0), "_POLL_S": 0.0}
    with (
        patch.multiple(api_source, time=clock, **waits),
        patch.multiple(log_follow, time=clock, _LINGER_S=60.0),
        patch.object(read_throttle, "PAUSE_S", rest_s),
    ):
        yield
