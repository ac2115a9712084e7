"""A container's log as the engine gives it, one request after the other: what to ask, when to read, when to give up.

What comes is not judged here; that is api_source.py's.
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
"""When so many come at once, a log that is followed does not rest: of few more the connection is full, and the engine
waits."""
_TOGETHER_BYTES: Final = 500_000
"""In a burst so much is worked on at once: each time costs what a hundred lines do (2026-11)."""
_BREATH_S: Final = 0.0005
"""In a burst, and where a log is read without being followed, the engine is left alone for so long after a read that
brought few: where processors are scarce, each line that it writes would wake us otherwise, and each read would bring
ten (2026-11, with a third busy process: 20 s and 11 s of processor time for 1,000,000 lines)."""
_CALM_S: Final = 0.05
"""When nothing comes for so long, the log is calm."""
_LIVENESS_S: Final = 300.0
"""So often it is made sure that a stream which gives nothing is not one that the engine forgot."""
_LINGER_S: Final = 2.0
"""How long a follow stream may go on after its container has ended; everything is read again then."""


class LogFollower:
    """Asks for one container's log."""

    def __init__(
        self, connection: DockerClient, container: str, *, tty: bool, useless: Callable[[Fragments], bool]
    ) -> None:
        """useless: asked about the first fragments of every tail; when it says so, nothing is given of the answer."""
        self._useless = useless
        self._connection = connection
        self._container = container
        self._tty = tty
        self._response: LogResponse | None = None
        self._closed = Event()
        self.running = False
        """Whether the container runs; set from any thread by `runs`."""

    # --- from any thread ---

    def runs(self, running: bool) -> None:
        """Whether the container runs: a follow stream of one that does not is soon given up."""
        self.running = running
        response = self._response
        if not running and response is not None:
            _give_up(response)

    def close(self) -> None:
        """Ask no more; whoever waits for an answer is let go."""
        self._closed.set()
        self.cut()

    def cut(self) -> None:
        """Cut the connection; the next request makes a new one."""
        response = self._response
        if response is not None:
            response.close()

    # --- from the reading thread ---

    @property
    def closed(self) -> bool:
        """Whether nothing is to be asked any more."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Leave the engine alone for so long, or until this is closed."""
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
        """What a request brings, and whether it was waited for.

        tail: only so many last entries. since: from this time on (nanoseconds since 1970).
        doubt: may end the stream. reading: is told of all that comes.

        Raises:
            EngineError: the engine cannot answer, or the connection broke.
            BrokenStreamError: it is no log stream, from here on.
            UnstampedLogError: it is a log, and none of what came of it has a time.
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
    """Ends a follow stream when it is time to make sure of what it gave."""

    def __init__(self) -> None:
        self.came = False
        self._response: LogResponse | None = None
        self._timer: Timer | None = None
        self._after = float("inf")

    def begin(self, response: LogResponse) -> None:
        """Be about a stream, which is ended at the latest when the engine may have forgotten it."""
        self._response = response
        self.arm(_LIVENESS_S)

    def arm(self, after_s: float) -> None:
        """In so long, unless it is armed already to come sooner."""
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
        """No more."""
        if self._timer is not None:
            self._timer.cancel()


def _give_up(response: LogResponse) -> None:
    """End a follow stream that outlives its container: 20.10 sometimes never ends it when the two cross."""
    timer = Timer(_LINGER_S, response.close)
    timer.daemon = True
    timer.start()
