"""Request one container's log from the engine: what to ask, when to read, when to give up.

api_source.py judges what comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event, Timer
from typing import Final

from ..core.batching.read_throttle import ReadThrottle
from ..core.parsing.catch_up_read import CatchUpRead
from ..core.parsing.fragments import Fragments
from ..core.parsing.log_stream import LogStreamParser, ReadResult, UnstampedLogError
from .docker_client import DockerClient, LogResponse

MUCH_LINES: Final = 150
"""A followed log of which this many lines come at once does not pause: with few more the connection is full, and the
engine waits."""
_TOGETHER_BYTES: Final = 500_000
"""Bytes of a burst to process together: each time costs as much as a hundred lines (2026-11)."""
_BREATH_S: Final = 0.0005
"""Seconds to leave the engine alone after a read that brought few lines, in a burst and in reads without following.
Where processors are scarce, each line that the engine writes would wake the agent otherwise, and each read would bring
ten lines (2026-11, with a third busy process: 20 s and 11 s of processor time for 1,000,000 lines)."""
_CALM_S: Final = 0.05
"""When nothing comes for this many seconds, the log is calm."""
_LIVENESS_S: Final = 300.0
"""After this many seconds a silent stream is checked: the engine may have forgotten it."""
_LINGER_S: Final = 2.0
"""Seconds that a follow stream may outlive its container. Everything is read again then."""


class LogFollower:
    """Requests one container's log."""

    def __init__(
        self, connection: DockerClient, container: str, *, tty: bool, useless: Callable[[Fragments], bool]
    ) -> None:
        """Prepare requests for a container's log.

        Args:
            connection: The client of the engine.
            container: The container's id.
            tty: Whether the container has a terminal, so that its log is one stream.
            useless: Is given the first fragments of every tail. When it returns True, the response is dropped.
        """
        self._useless = useless
        self._connection = connection
        self._container = container
        self._tty = tty
        self._response: LogResponse | None = None
        self._closed = Event()
        self.running = False
        """Whether the container runs; set from any thread by `set_running`."""

    # --- from any thread ---

    def set_running(self, running: bool) -> None:
        """Record whether the container runs. A follow stream of a stopped container is soon closed."""
        self.running = running
        response = self._response
        if not running and response is not None:
            _give_up(response)

    def close(self) -> None:
        """Stop asking, and release a thread that waits for a response."""
        self._closed.set()
        self.cut()

    def cut(self) -> None:
        """Cut the connection. The next request makes a new one."""
        response = self._response
        if response is not None:
            response.close()

    # --- from the reading thread ---

    @property
    def closed(self) -> bool:
        """Whether this is closed."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Wait for this many seconds, or until this is closed."""
        self._closed.wait(seconds)

    def ask(
        self,
        *,
        follow: bool,
        tail: int | None,
        since: int,
        doubt: RecheckTimer | None = None,
        reading: CatchUpRead | None = None,
    ) -> Iterator[tuple[ReadResult, bool]]:
        """Request the log; yield what comes, and whether it was waited for.

        Args:
            follow: Whether to wait for new entries at the end.
            tail: Request only this many last entries.
            since: Request entries from this time on, in nanoseconds since 1970.
            doubt: May end the stream.
            reading: Is given all that comes.

        Raises:
            EngineError: The engine refused, or the connection broke.
            BrokenStreamError: From here on it is not a log stream.
            UnstampedLogError: It is a log, and no entry of it has a time.
        """
        first, running = True, self.running
        response = self._connection.logs(self._container, follow=follow, tail=tail, since=since)
        self._response = response
        if follow and doubt is not None:
            doubt.begin(response)
        if follow and not self.running:
            _give_up(response)
        try:
            stream = LogStreamParser(tty=self._tty, chunked=response.chunked)
            pace = ReadThrottle(MUCH_LINES, _BREATH_S)
            together = 0
            while not self.closed and not stream.done:
                begun = time.monotonic()
                data = response.read(together=together)
                came = time.monotonic()
                if not data:
                    break
                part = stream.feed(data)
                together = _TOGETHER_BYTES if len(part.fragments) >= MUCH_LINES else 0
                if part.unstamped and first and not len(part.fragments):
                    raise UnstampedLogError(part.unstamped[0])
                if reading is not None:
                    reading.add(part)
                if first and len(part.fragments):
                    first = False
                    if tail is not None and self._useless(part.fragments):
                        return
                yield part, came - begun > _CALM_S
                if rest := pace.pause_s(len(part.fragments), came):
                    self.pause(rest if follow else min(rest, _BREATH_S))
            if not self.closed:
                part = stream.end(over=not running and not self.running, cut=follow)
                if part.unstamped and first and not len(part.fragments):
                    raise UnstampedLogError(part.unstamped[0])
                yield part, False
        finally:
            self._response = None
            response.close()


class RecheckTimer:
    """Ends a follow stream when a catch-up is due, to verify what the stream gave."""

    def __init__(self) -> None:
        self.came = False
        self._response: LogResponse | None = None
        self._timer: Timer | None = None
        self._after = float("inf")

    def begin(self, response: LogResponse) -> None:
        """Take on a stream, and end it at the latest when the engine may have forgotten it."""
        self._response = response
        self.arm(_LIVENESS_S)

    def arm(self, after_s: float) -> None:
        """End the stream after some seconds, unless an earlier end is set."""
        response = self._response
        if response is None or after_s >= self._after:
            return
        self.disarm()
        self._after = after_s

        def come() -> None:
            self.came = True
            response.close()

        self._timer = Timer(after_s, come)
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        """Do not end the stream."""
        if self._timer is not None:
            self._timer.cancel()


def _give_up(response: LogResponse) -> None:
    """End a follow stream that outlives its container: 20.10 sometimes never ends it when the two cross."""
    timer = Timer(_LINGER_S, response.close)
    timer.daemon = True
    timer.start()
