"""The api source: a container's log through the engine's API, where its files cannot be read.

Theory of operation. The engine's follow stream loses lines when files rotate under a burst, repeats lines on engines
before 23.0, and may end before the last line; a read that does not follow does none of that. So a log is followed
only while that is safe, and every follow ends in a *catch-up*: a read of the last entries that must contain what was
read last. When it does, nothing is missing; when not even the whole log does, something is, and a gap entry says so.
A log that rotates is followed only while
it is calm: when much came without a pause it is read by catch-ups alone until it is calm again.

What was read before is recognised by `Memory`, or after a restart of the agent by the cursor's marks (`Seeker`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, Thread, Timer
from typing import Final

import structlog

from logferry_protocol.events import Gap, Notice
from logferry_protocol.job import SourceName

from ..core.chunk import Chunk, Sink
from ..core.cursor import Place
from ..core.frames import BrokenStreamError, LogStream, Received
from ..core.lines import Fragments
from ..core.recognition import Memory, Seeker
from ..core.track import Track
from .docker import Connection, ContainerGoneError, EngineUnavailableError, LogResponse, LogsUnreadableError
from .reading import Reading, Step

log = structlog.get_logger()

_TAILS: Final = (1_000, 30_000, None)
"""Entries that a catch-up asks for, until they reach back far enough."""
_CALM_S: Final = 0.05
"""When nothing comes for so long, all that was written has been read."""
_POLL_S: Final = 0.05
_CALM_POLLS: Final = 10
_BUSY_LINES: Final = 200
"""A catch-up with fewer new lines counts as calm."""
_RETRY_S: Final = (0.1, 5.0)
_LINGER_S: Final = 2.0
"""How long a follow stream may go on after its container has ended; everything is read again then."""
_UNVERIFIED: Final = "removed before its end could be read again: an unterminated last line may be missing"
_JSON_OVERHEAD: Final = 72
"""Bytes that a json-file record is longer than its text."""


class ApiSource:
    """One container's log through the engine's API. `read` waits for lines while the container runs."""

    name: SourceName = "api"

    def __init__(
        self,
        connection: Connection,
        container: str,
        track: Track,
        *,
        tty: bool,
        since: int,
        max_size: int,
        replays: bool,
    ) -> None:
        """Read on from where `track` is.

        since: without a cursor, begin with the first entry of this time (nanoseconds since 1970).
        max_size: the size at which the driver begins a new file, 0 where it never does.
        replays: the engine repeats what it sent after a rotation (before 23.0).
        """
        self.track = track
        self.gone = False
        self.running = False
        """Whether the container runs; set from any thread by `runs`."""
        self.troubled: Callable[[str | None], None] = lambda _: None
        self._connection = connection
        self._container = container
        self._tty = tty
        self._since = since
        self._max_size = max_size
        self._replays = replays
        self._memory = Memory()
        self._chunks: deque[Chunk] = deque()
        self._response: LogResponse | None = None
        self._closed = Event()
        self._last_time: int | None = None
        self._verified: int | None = None
        """What the last fragment is known by that nothing before is missing of."""
        self._verified_time: int | None = None
        self._last_key: int | None = None
        self._removed = False
        self._steps = self._run()

    def runs(self, running: bool) -> None:
        """Whether the container runs: a follow stream of one that does not is soon given up."""
        self._run_unread = self._run_unread or (running and not self.running)
        self.running = running
        response = self._response
        if not running and response is not None:
            _give_up(response)

    @property
    def unread(self) -> int:
        """Nothing can be known to be there without reading it."""
        return 0

    @property
    def ended(self) -> bool:
        """True when the container is gone and nothing more can come."""
        return self.gone and not self._chunks and self._idle

    def read(self, limit_bytes: int) -> Chunk | None:
        """Read on; None when the container does not run and all was read, or the source was closed."""
        self._idle = False
        while not self._chunks:
            if self._closed.is_set() or not next(self._steps):
                self._idle = True
                return None
        return self._chunks.popleft()

    def at_end(self) -> Chunk | None:
        """What is due where the log ends for now, one chunk after the other."""
        if not self._chunks:
            self._chunks.extend(self.track.at_end())
        return self._chunks.popleft() if self._chunks else None

    def close(self) -> None:
        """End it, from any thread; a `read` that waits returns."""
        self._closed.set()
        self.cut()

    def cut(self) -> None:
        """Cut the connection, from any thread; what follows is read over a new one."""
        response = self._response
        if response is not None:
            response.close()

    _idle = False

    # --- the course of it: True when there may be chunks, False when there is nothing now ---

    def _run(self) -> Iterator[bool]:  # noqa: PLR0912
        pause, most = _RETRY_S
        resumed = self._resume_needed()
        while True:
            if self._removed:
                yield False
                continue
            running = self.running
            try:
                if resumed:
                    yield from self._resume()
                    resumed = False
                if not self._memory and not self.track.cursor.begun:
                    yield from self._follow(None, running=running)
                else:
                    if running:
                        yield from self._follow(_TAILS[0], running=True)
                    yield from self._catch_up()
                self.troubled(None)
                if not running:
                    self._run_unread = self._unsure = False
                    yield False
                    continue
                self._closed.wait(pause)
                pause = min(pause * 2, 1.0) if self.running else _RETRY_S[0]
            except ContainerGoneError:
                self._removed = True
                if self._run_unread:
                    self._lose(Gap(reason="removed", start=self._last_time, detail="removed before it could be read"))
                elif self._unsure:
                    # Engines before 23.0 end a follow stream before an unterminated last line, more often than not.
                    self._chunks.extend(self.track.tell(Notice(code="end_unverified", detail=_UNVERIFIED), _now()))
            except LogsUnreadableError as error:
                self._removed = True
                if self.track.place != UNREADABLE:
                    self.track.move(UNREADABLE)
                    self._chunks.extend(self.track.tell(Notice(code="unreadable", detail=str(error)), _now()))
                self.troubled(str(error))
            except (EngineUnavailableError, BrokenStreamError) as error:
                self.troubled(str(error))
                self._closed.wait(pause)
                pause = min(pause * 2, most)
            yield True

    def _resume_needed(self) -> bool:
        return self.track.cursor.begun

    def _follow(self, tail: int | None, *, running: bool) -> Iterator[bool]:
        """Read as lines come, until the stream ends or the log is too busy to be followed."""
        if tail is not None:
            tail += max(self.track.marks.out.ordinal, self.track.marks.err.ordinal)
        overlaps = tail is None or not self._memory
        received = 0
        self._memory.rewind()
        for part, waited in self._responses(follow=running, tail=tail, since=0 if tail is not None else self._since):
            keys = self._memory.keys(part.fragments)
            fresh = self._memory.unknown(keys)
            if waited:
                # Before this came nothing for a while: all that was written until then has been read.
                received = 0
                self._verify()
            if not overlaps and keys:
                if len(fresh) == len(keys):
                    return  # more came in between than was asked for: the catch-up finds it
                overlaps = True
            self._take(part.fragments, keys, fresh)
            received += part_size(part.fragments)
            yield True
            if self._errors(part):
                return
            if self._max_size and received > self._max_size // 4:
                yield from self._poll()
                return
        self._run_unread = False
        self._unsure = self._replays

    def _poll(self) -> Iterator[bool]:
        """Read a busy log by catch-ups alone, until it is calm."""
        calm = 0
        while calm < _CALM_POLLS and self.running and not self._closed.is_set():
            before = self._taken
            yield from self._catch_up()
            calm = calm + 1 if self._taken - before < _BUSY_LINES else 0
            self._closed.wait(_POLL_S if calm else 0.0)

    def _catch_up(self) -> Iterator[bool]:
        """Read what there is behind the last verified fragment, and find out whether anything is missing."""
        wanted = self._verified
        more = max(self.track.marks.out.ordinal, self.track.marks.err.ordinal, 2 * self._taken_last)
        for tail in _TAILS:
            entries = 0
            found = wanted is None
            self._memory.rewind()
            self._taken_last = 0
            for part, _ in self._responses(follow=False, tail=None if tail is None else tail + more, since=0):
                keys = self._memory.keys(part.fragments)
                entries += len(keys)
                start = 0
                if not found and wanted in keys:
                    found = True
                    start = keys.index(wanted) + 1
                if not found:
                    continue
                fresh = [index for index in self._memory.unknown(keys) if index >= start]
                self._take(part.fragments, keys, fresh)
                yield True
                if self._errors(part):
                    break
            if found:
                self._verify()
                return
            if tail is None or entries < tail:
                break
        yield from self._take_all_after_loss()

    def _take_all_after_loss(self) -> Iterator[bool]:
        """What was read last is no longer in the log: all of it is new, and something before it is missing."""
        first = True
        self._memory.rewind()
        for part, _ in self._responses(follow=False, tail=None, since=0):
            keys = self._memory.keys(part.fragments)
            fresh = self._memory.unknown(keys)
            if first and keys:
                first = False
                start = self._verified_time or self._last_time
                detail = "where reading had come to is no longer in the log"
                self._lose(Gap(reason="rotated", start=start, end=part.fragments.times[0], detail=detail))
            self._take(part.fragments, keys, fresh)
            yield True
        self._verify()

    def _resume(self) -> Iterator[bool]:
        """Find the cursor's place in the log and read on from there."""
        marks = self.track.marks
        self._last_time = max(marks.out.stamp, marks.err.stamp) // 1_000
        more = max(marks.out.ordinal, marks.err.ordinal)
        for tail in (None,) if self._replays and self._max_size else _TAILS:
            seeker = Seeker(marks)
            entries = 0
            early: list[tuple[Fragments, list[int], list[int]]] = []
            self._memory.rewind()
            for part, _ in self._responses(follow=False, tail=None if tail is None else tail + more, since=0):
                keys = self._memory.keys(part.fragments)
                entries += len(keys)
                fresh = seeker.unread(part.fragments)
                if seeker.found:
                    for taken in early:
                        self._take(*taken)
                    early.clear()
                    self._memory.add([key for index, key in enumerate(keys) if index not in set(fresh)])
                    self._take(part.fragments, keys, fresh)
                    yield True
                elif fresh:
                    early.append((part.fragments, keys, fresh))
                    if tail is not None:
                        break
                else:
                    self._memory.add(keys)
            if seeker.found:
                self._verify()
                return
            if tail is None or entries < tail:
                break
        if entries:
            yield from self._take_all_after_loss()

    # --- pieces of it ---

    _taken = 0
    _taken_last = 0
    _run_unread = False
    """Whether a run was begun whose log was not read to an end."""
    _unsure = False
    """Whether the end that was read may not have been all."""

    def _responses(self, *, follow: bool, tail: int | None, since: int) -> Iterator[tuple[Received, bool]]:
        response = self._connection.logs(self._container, follow=follow, tail=tail, since=since)
        self._response = response
        if follow and not self.running:
            _give_up(response)
        try:
            stream = LogStream(tty=self._tty, chunked=response.chunked)
            while not self._closed.is_set() and not stream.done:
                begun = time.monotonic()
                data = response.read()
                if not data:
                    break
                yield stream.feed(data), time.monotonic() - begun > _CALM_S
            yield stream.end(), False
        finally:
            self._response = None
            response.close()

    def _take(self, fragments: Fragments, keys: list[int], fresh: list[int]) -> None:
        if not fresh:
            return
        if len(fresh) != len(keys):
            fragments = fragments.keep(fresh)
            keys = [keys[index] for index in fresh]
        self._memory.add(keys)
        self._last_key = keys[-1]
        self._last_time = fragments.times[-1]
        self._taken += len(keys)
        self._taken_last += len(keys)
        self._chunks.extend(self.track.lines(fragments, _nowhere))

    def _verify(self) -> None:
        self._verified, self._verified_time = self._last_key, self._last_time

    def _errors(self, part: Received) -> bool:
        for error in part.errors:
            self._lose(Gap(reason="engine", start=self._last_time, detail=error[:300]))
        return bool(part.errors)

    def _lose(self, gap: Gap) -> None:
        self._chunks.extend(self.track.tell(gap, gap.end or self._last_time or _now()))


def _give_up(response: LogResponse) -> None:
    """End a follow stream that outlives its container: 20.10 sometimes never ends it when the two cross."""
    timer = Timer(_LINGER_S, response.close)
    timer.daemon = True
    timer.start()


def part_size(fragments: Fragments) -> int:
    """About how many bytes these take in a json-file."""
    return sum(map(len, fragments.texts)) + _JSON_OVERHEAD * len(fragments)


UNREADABLE: Final = Place(0, 0, "none")
"""Where a job is whose log cannot be read, so that this is said once."""


def _nowhere(_: int) -> Place | None:
    return None


def _now() -> int:
    return time.time_ns() // 1_000


class ApiLoop:
    """A thread that reads one container through the API."""

    def __init__(self, reading: Reading, sink: Sink) -> None:
        self._reading = reading
        self._sink = sink
        self._news = Event()
        self._stopping = False
        self.done = False
        reading.on_news = self._news.set
        self._thread = Thread(target=self._run, name=f"logferry-api-{reading.id[:12]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping = True
        self._reading.close()
        self._news.set()

    def cut(self) -> None:
        """Cut the connection, as a proxy does to one that was quiet for long; it is made again."""
        source = self._reading.source
        if isinstance(source, ApiSource):
            source.cut()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            self._news.clear()
            step = self._reading.step(self._sink, 1 << 20)
            if step is Step.DONE:
                self.done = True
                return
            if step is Step.FULL:
                self._sink.wait_for_room(0.5)
            elif step is Step.IDLE:
                self._news.wait(5)
