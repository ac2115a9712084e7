"""Read one container's log through the engine's API, where its files cannot be read.

Theory of operation. The engine's follow stream has faults. It loses lines when files rotate under a burst. Engines
before 23.0 repeat lines. The stream may end before the last line. A read that does not follow has none of these faults.

So a log is followed only while that is safe, and every follow ends in a *catch-up*: a read of the last entries that
must contain what was read last. When it does, nothing is missing. When not even the whole log contains it, a gap entry
says so.

A log that rotates is followed only while it is calm. When much came, it is read by catch-ups alone until it is calm
again. Entries from a follow stream count as complete only after a catch-up has confirmed it, at the latest a fixed time
after they came. The fragments of a long line may all be alike: where an engine may send them again, a catch-up reads
them.

Entries that were read before are recognised by `Deduplicator`, or after a restart of the agent by the cursor
(`CursorSeeker`).

A damaged record ends a read of the log: with an error in the stream, or silently (before 23.0). So every catch-up first
asks for the last entry, which a complete read must reach. Behind the damage, the longest tail that can be read is read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import random
from typing import Final

import structlog

from logferry_protocol.backoff import Backoff, Jitter, Retries
from logferry_protocol.events import Gap, Notice
from logferry_protocol.job import SourceName

from ..core.batching.cursor import FilePosition
from ..core.batching.entries import Chunk
from ..core.batching.entry_sequencer import EntrySequencer
from ..core.parsing.catch_up_read import CatchUpRead, KeySeeker, PositionSeeker, TailStart
from ..core.parsing.deduplication import CursorSeeker, Deduplicator
from ..core.parsing.fragments import CUT, Fragments
from ..core.parsing.log_stream import BrokenStreamError, ReadResult, UnstampedLogError
from ..core.parsing.timestamps import entry_time, nanoseconds
from .docker_client import ContainerGoneError, DockerClient, EngineUnavailableError, LogsUnreadableError
from .log_follow import MUCH_LINES, LogFollower, RecheckTimer
from .unreadable_source import UNREADABLE, report_unreadable

log = structlog.get_logger()

_TAILS: Final = (1_000, 30_000, None)
"""Numbers of last entries that a catch-up asks for, in turn, until they reach back far enough. None: the whole log."""
_SMALL_BYTES: Final = 4 << 20
_OVERLAP: Final = 50
"""Number of known entries to read again before new ones, to see that a read continues the one before."""
_REMEMBERED: Final = 1_000
"""Number of entries before a cursor that are remembered: more than any overlap."""
_DOUBT_S: Final = (1.0, 15.0)
"""Seconds after which a catch-up checks what a rotating log's follow stream gave: after a burst, otherwise."""
_SURE_ENTRIES: Final = 50_000
"""After this many entries a followed log counts as verified if it never rotates: such a log loses nothing."""
_POLL_S: Final = 0.05
_CALM_POLLS: Final = 10
_BUSY_LINES: Final = 200
"""A catch-up with fewer new lines counts as calm."""
_RETRY: Final = Backoff(first_s=0.1, longest_s=5.0)
"""Waits after the engine failed."""
_FOLLOW_AGAIN: Final = Backoff(first_s=0.1, longest_s=1.0)
"""Waits after a stream of a running container ended without a new entry."""
_UNVERIFIED: Final = (
    "the container was removed before the end of its log could be verified: an unterminated last line may be missing"
)
_JSON_OVERHEAD: Final = 72
"""By how many bytes a json-file record is longer than its text."""


class ApiSource:
    """One container's log, read through the engine's API. `read` blocks while the container runs and no lines come."""

    @property
    def name(self) -> SourceName:
        """The source's name: `none` once the engine said that this log cannot be read."""
        return "none" if self.sequencer.file_position == UNREADABLE else "api"

    def __init__(
        self,
        connection: DockerClient,
        container: str,
        sequencer: EntrySequencer,
        *,
        tty: bool,
        since: int,
        max_size: int,
        replays: bool,
        born_below: int = 0,
    ) -> None:
        """Continue from the sequencer's position.

        Args:
            connection: The client of the engine.
            container: The container's id.
            sequencer: Gives entries their numbers and cursors, and knows the position.
            tty: Whether the container has a terminal.
            since: Without a cursor, begin with the first entry of this time, in nanoseconds since 1970.
            max_size: The size at which the driver begins a new file; 0 where it never does.
            replays: Whether the engine repeats what it sent after a rotation (before 23.0).
            born_below: A log of fewer bytes has dropped nothing yet; 0 where the container's beginning is not wanted.
        """
        self.sequencer = sequencer
        self.gone = False
        self.on_problem: Callable[[str | None], None] = lambda _: None
        self._requests = LogFollower(connection, container, tty=tty, useless=self._begins_within_line)
        # The engine compares each line's time: where its clock was set back, an earlier line may be a later time's.
        self._since = sequencer.after + 1 if sequencer.after else since
        self._max_size = max_size
        self._replays = replays
        self._born_below = 0 if sequencer.cursor.begun or sequencer.after else born_below
        self._early_bytes = 0
        self._early_until: int | None = None
        self._deduplicator = Deduplicator()
        self._chunks: deque[Chunk] = deque()
        self._last_time: int | None = None
        self._verified: int | None = None
        """The key of the last fragment before which nothing is missing."""
        self._verified_time: int | None = None
        self._last_key: int | None = None
        self._removed = False
        self._jitter: Jitter = random
        self._steps = self._run()

    def set_running(self, running: bool) -> None:
        """Record whether the container runs. A follow stream of a stopped container is soon closed."""
        self._run_unread = self._run_unread or (running and not self._requests.running)
        self._requests.set_running(running)

    @property
    def unread(self) -> int:
        """Always 0: the API does not tell how much is unread."""
        return 0

    @property
    def ended(self) -> bool:
        """Whether the container is gone and everything was handed over."""
        return self.gone and not self._chunks and self._idle

    def read(self, limit_bytes: int) -> Chunk | None:
        """Return the next chunk.

        Returns:
            None when the container does not run and everything was read, or the source was closed.
        """
        self._idle = False
        while not self._chunks:
            if self._requests.closed or not next(self._steps):
                self._idle = True
                return None
        return self._chunks.popleft()

    def at_end(self) -> Chunk | None:
        """Return what is due at the present end of the log, one chunk at a time; None when nothing is."""
        if not self._chunks:
            self._chunks.extend(self.sequencer.take_due())
        return self._chunks.popleft() if self._chunks else None

    def close(self) -> None:
        """Close the source, from any thread. A `read` that waits returns."""
        self._requests.close()

    def cut(self) -> None:
        """Cut the connection, from any thread. Reading continues over a new one."""
        self._requests.cut()

    _idle = False

    # --- the main loop: yields True when there may be chunks, False when there is nothing now ---

    def _run(self) -> Iterator[bool]:
        retries, follows = Retries(_RETRY, self._jitter), Retries(_FOLLOW_AGAIN, self._jitter)
        resumed = self._resume_needed()
        while True:
            if self._removed:
                yield False
                continue
            running, before = self._requests.running, self._taken
            try:
                if resumed:
                    yield from self._resume()
                    resumed = False
                if not self._deduplicator and not self.sequencer.cursor.begun:
                    yield from self._follow(None, running=running)
                else:
                    if running:
                        yield from self._follow(_OVERLAP, running=True)
                    yield from self._catch_up()
                self.on_problem(None)
                retries.reset()
                if not running:
                    self._run_unread = self._unsure = False
                    yield False
                    continue
                self._pause_before_following(follows, new=self._taken > before)
            except ContainerGoneError:
                self._removed = True
                if self._run_unread:
                    self._lose(
                        Gap(
                            reason="removed",
                            start=self._last_time,
                            detail="the container was removed before its log could be read",
                        )
                    )
                elif self._unsure:
                    # Engines before 23.0 usually end a follow stream before an unterminated last line.
                    self._chunks.extend(
                        self.sequencer.add_event(Notice(code="end_unverified", detail=_UNVERIFIED), _now())
                    )
            except (LogsUnreadableError, UnstampedLogError) as error:
                self._removed = True
                self._say_unreadable(error)
                self.on_problem(str(error))
            except (EngineUnavailableError, BrokenStreamError) as error:
                self.on_problem(str(error))
                self._requests.pause(retries.next_delay())
            yield True

    def _pause_before_following(self, follows: Retries, *, new: bool) -> None:
        """Leave the engine alone for a moment; longer while its streams end without a new entry."""
        if new or not self._requests.running:
            follows.reset()
        self._requests.pause(follows.next_delay())

    def _say_unreadable(self, error: Exception) -> None:
        """Report that the log cannot be read, or cannot be read from here on."""
        if isinstance(error, UnstampedLogError) and self.sequencer.cursor.begun:
            self._lose(Gap(reason="engine", start=self._last_time, detail=str(error)[:500]))
        else:
            self._chunks.extend(report_unreadable(self.sequencer, str(error)))

    def _resume_needed(self) -> bool:
        return self.sequencer.cursor.begun

    def _follow(self, tail: int | None, *, running: bool) -> Iterator[bool]:
        """Follow the log until the stream ends, the log is too busy to follow, or a catch-up is due."""
        if tail is not None:
            tail += max(self.sequencer.stream_positions.out.ordinal, self.sequencer.stream_positions.err.ordinal)
        overlaps = tail is None or not self._deduplicator
        received = 0
        doubt, beginning = RecheckTimer(), TailStart(whole=overlaps)
        early = tail is not None and self._since > 0
        # A rotation may remove entries and an engine may repeat them: such entries are remembered as far back as
        # possible.
        steady = not self._max_size and not (running and self._replays)
        self._deduplicator.restart()
        try:
            for part, waited in self._ask(
                follow=running, tail=tail, since=0 if tail is not None else self._since, doubt=doubt
            ):
                if steady and overlaps and not early and not part.errors and self._pass(part.fragments):
                    yield True
                    continue
                keys = self._deduplicator.keys(part.fragments)
                unsure = beginning.find_unsure(part.fragments)
                fresh = self._fresh(keys, unsure)
                if not overlaps and len(keys) > len(unsure):
                    if len(fresh) == len(keys) - len(unsure):
                        return  # more came in between than was asked for: the catch-up finds it
                    overlaps = True
                doubtful = self._may_be_repeated(part.fragments, fresh)
                fresh = () if doubtful else fresh
                self._verify_followed(waited=waited)
                if early:
                    early, fresh = self._without_early(part.fragments, keys, fresh)
                self._take(part.fragments, keys, fresh)
                received += part_size(part.fragments) if fresh and self._max_size else 0
                yield True
                if part.errors or doubtful:
                    return
                if self._max_size and received > self._max_size // 4:
                    yield from self._poll()
                    return
                if self._max_size and received:
                    doubt.arm(_DOUBT_S[received <= self._max_size // 16])
        except EngineUnavailableError:
            if not doubt.came:
                raise
        finally:
            doubt.disarm()
        self._run_unread = False
        self._unsure = self._replays

    def _pass(self, fragments: Fragments) -> bool:
        """Take a large read of a log that never rotates at once, if it is later than all before.

        Returns:
            False when it is not later, or the read is too small: then nothing was taken.
        """
        if len(fragments) < (
            1 if self._deduplicator.has_pending_keys else MUCH_LINES
        ) or not self._deduplicator.are_newer(fragments):
            return False
        self._verify()
        self._deduplicator.add_newer(fragments)
        first, last = (self._deduplicator.keys(fragments.slice(at, at + 1))[0] for at in (0, len(fragments) - 1))
        self._enter(fragments, first, last)
        return True

    def _fresh(self, keys: list[int], unsure: frozenset[int]) -> Sequence[int]:
        unknown = self._deduplicator.find_new(keys)
        return [index for index in unknown if index not in unsure] if unsure else unknown

    def _may_be_repeated(self, fragments: Fragments, fresh: Sequence[int]) -> bool:
        """Return whether one of the new fragments continues a line, and the engine may have sent it before.

        Fragments of a line may be alike, so a follow stream cannot tell a repeated one.
        """
        if not (self._replays and self._max_size and fragments.ends) or self._verified is None:
            return False
        return any(fragments.ends[index] == CUT for index in fresh)

    def _without_early(self, fragments: Fragments, keys: list[int], fresh: Sequence[int]) -> tuple[bool, list[int]]:
        """Leave out of a tail's beginning what is older than the time to start at.

        Returns:
            Whether the known entries are still to come, and the indices of the new ones to take.
        """
        unknown = set(self._deduplicator.find_new(keys))
        begin = next((index for index in range(len(keys)) if index not in unknown), len(keys))
        stamps = fragments.stamps
        wanted = [index for index in fresh if index > begin or nanoseconds(stamps[index]) >= self._since]
        return begin == len(keys), wanted

    def _poll(self) -> Iterator[bool]:
        """Read a busy log by catch-ups alone until it is calm."""
        calm = 0
        while calm < _CALM_POLLS and self._requests.running and not self._requests.closed:
            before = self._taken
            yield from self._catch_up()
            calm = calm + 1 if self._taken - before < _BUSY_LINES else 0
            self._requests.pause(_POLL_S if calm else 0.0)

    def _catch_up(self) -> Iterator[bool]:
        """Read everything after the last verified fragment, and detect whether anything is missing."""
        more = max(self.sequencer.stream_positions.out.ordinal, self.sequencer.stream_positions.err.ordinal)
        first = max(self._unsure_entries, self._taken_last) + _OVERLAP + more
        # A small log may be rotated away between two tails.
        further = (None,) if 0 < self._max_size <= _SMALL_BYTES else _TAILS
        tails = [first, *(tail for tail in further if tail is None or tail > first)]
        yield from self._read_behind(lambda: KeySeeker(self._verified), tails)

    def _resume(self) -> Iterator[bool]:
        """Find the cursor's position in the log and continue from there."""
        stream_positions = self.sequencer.stream_positions
        self._last_time = entry_time(stream_positions.latest)
        more = max(stream_positions.out.ordinal, stream_positions.err.ordinal)
        # Before 23.0, a tail of a rotating log may leave out whole files.
        tails: list[int | None] = [tail and tail + more for tail in _TAILS]
        if self._replays and self._max_size:
            tails = [None]
        yield from self._read_behind(lambda: CursorSeeker(stream_positions), tails)

    def _read_behind(
        self, seek: Callable[[], PositionSeeker], tails: list[int | None], *, again: bool = False
    ) -> Iterator[bool]:
        """Read what follows a position in the log; everything, when that position is no longer in it."""
        end = self._end_of_log()
        entries, whole = 0, False
        for tail in tails:
            if whole and tail is not None:
                continue
            place, reading = seek(), CatchUpRead(end, tail)
            beginning = TailStart(whole=tail is None, steps=True)
            before: deque[int] = deque(maxlen=_REMEMBERED)
            taken = self._taken
            self._within = False
            self._deduplicator.restart()
            for part, _ in self._ask(follow=False, tail=tail, since=0, reading=reading):
                keys = self._deduplicator.keys(part.fragments)
                behind = place.unread(part.fragments, keys, beginning.find_unsure(part.fragments))
                unknown = self._deduplicator.find_new(keys)
                before.extend(keys[: len(keys) - len(behind)])
                self._deduplicator.note_newest(part.fragments)
                if place.found and before:
                    self._deduplicator.add(list(before))
                    before.clear()
                self._take(part.fragments, keys, _both(behind, unknown, len(keys)))
                yield True
            if self._within:
                continue
            self._taken_last = self._taken - taken
            if reading.broken:
                # Or everything that was asked for was rotated away in between. That does not happen twice.
                yield from self._read_behind_damage(seek()) if again else self._read_behind(seek, tails, again=True)
                return
            if place.found:
                self._verify()
                return
            entries = reading.entries
            whole = tail is not None and entries < tail
        if entries:
            yield from self._take_all_after_loss()

    def _take_all_after_loss(self) -> Iterator[bool]:
        """Read the whole log after a gap: what was read last is no longer in it."""
        first = True
        self._deduplicator.restart()
        for part, _ in self._ask(follow=False, tail=None, since=0):
            keys = self._deduplicator.keys(part.fragments)
            fresh = self._deduplicator.find_new(keys)
            if first and keys:
                first = False
                start = self._verified_time or self._last_time
                detail = "the last position read is no longer in the log"
                self._lose(Gap(reason="rotated", start=start, end=part.fragments.times[0], detail=detail))
            self._take(part.fragments, keys, fresh)
            yield True
        self._verify()

    def _read_behind_damage(self, place: PositionSeeker) -> Iterator[bool]:
        """Read the longest tail that begins behind a damaged record."""
        good, bad = 0, 1
        while (reading := self._try(bad)) is not None and not reading.broken:
            if reading.entries < bad:
                break  # the whole log: the damage was rotated away meanwhile
            good, bad = bad, bad * 2
        while reading is not None and reading.broken and bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (good, middle) if self._try(middle).broken else (middle, bad)
        told = False
        self._deduplicator.restart()
        for part, _ in self._ask(follow=False, tail=good, since=0):
            keys = self._deduplicator.keys(part.fragments)
            behind = place.unread(part.fragments, keys, frozenset())
            if not place.found and self._deduplicator.find_new(keys):
                behind = list(range(len(keys)))
            fresh = _both(behind, self._deduplicator.find_new(keys), len(keys))
            if fresh and not place.found and not told:
                told = True
                detail = "the engine cannot read its log past a damaged record"
                self._lose(
                    Gap(reason="corrupt", start=self._last_time, end=part.fragments.times[fresh[0]], detail=detail)
                )
            self._take(part.fragments, keys, fresh)
            yield True
        self._verify()

    def _ask(
        self,
        *,
        follow: bool,
        tail: int | None,
        since: int,
        doubt: RecheckTimer | None = None,
        reading: CatchUpRead | None = None,
    ) -> Iterator[tuple[ReadResult, bool]]:
        """Ask for the log as `LogFollower.ask` does, and say once that of the entries some have no time."""
        for part, waited in self._requests.ask(follow=follow, tail=tail, since=since, doubt=doubt, reading=reading):
            if part.unstamped and not self._unstamped:
                self._unstamped = True
                self._lose(
                    Gap(reason="engine", start=self._last_time, detail=str(UnstampedLogError(part.unstamped[0]))[:500])
                )
            yield part, waited

    def _begins_within_line(self, fragments: Fragments) -> bool:
        """Return whether a tail begins with a fragment of the open line: then its position in the line is unknown."""
        self._within = False
        for stream in "oe":
            mark, first = self.sequencer.stream_positions.of(stream), fragments.streams.find(stream)
            if mark.open and first >= 0 and nanoseconds(fragments.stamps[first]) == mark.stamp:
                self._within = True
        return self._within

    def _try(self, tail: int) -> CatchUpRead:
        """Read the last `tail` entries without taking them, to see whether they can be read."""
        reading = CatchUpRead(self._end_of_log(), tail)
        for _ in self._ask(follow=False, tail=tail, since=0, reading=reading):
            pass
        return reading

    def _end_of_log(self) -> tuple[str, str] | None:
        """Return the timestamp and stream of the log's last entry; None for an empty log."""
        reading = CatchUpRead(None)
        for _ in self._ask(follow=False, tail=1, since=0, reading=reading):
            pass
        return reading.last

    # --- state and helpers of the loop ---

    _taken = 0
    _taken_last = 0
    _run_unread = False
    """Whether a run began whose log was not read to its end."""
    _unsure = False
    """Whether more may follow the end that was read."""
    _first_time = 0
    _within = False
    """Whether the last tail began within the open line."""
    _unstamped = False
    """Whether the gap about entries without a time was emitted."""
    _unsure_entries = 0
    """Entries taken since the last verified fragment."""

    def _take(self, fragments: Fragments, keys: list[int], fresh: Sequence[int]) -> None:
        if not fresh:
            return
        if len(fresh) != len(keys):
            fragments = fragments.keep(fresh)
            keys = [keys[index] for index in fresh]
        self._deduplicator.note_newest(fragments)
        self._deduplicator.add(keys)
        self._enter(fragments, keys[0], keys[-1])

    def _enter(self, fragments: Fragments, first: int, last: int) -> None:
        """first, last: what the first and the last of them are known by."""
        if self._born_below:
            self._watch_beginning(fragments)
        if self._verified is None:  # nothing before the first fragment was read
            self._verified, self._verified_time = first, fragments.times[0]
        self._last_key = last
        self._last_time = fragments.times[-1]
        self._taken += len(fragments)
        self._unsure_entries += len(fragments)
        self._chunks.extend(self.sequencer.add_fragments(fragments, _nowhere))

    def _watch_beginning(self, fragments: Fragments) -> None:
        """Emit a gap if the log was full when it was first read: its beginning was probably rotated away."""
        if self._early_until is None:
            self._early_until = _now()
            self._first_time = fragments.times[0]
        self._early_bytes += part_size(fragments)
        if self._early_bytes >= self._born_below:
            detail = "the log was full before it could be read: its beginning may be missing"
            self._lose(Gap(reason="rotated", end=self._first_time, detail=detail))
            self._born_below = 0
        elif fragments.times[-1] > self._early_until:
            self._born_below = 0

    def _verify_followed(self, *, waited: bool) -> None:
        if not self._max_size and (waited or self._unsure_entries > _SURE_ENTRIES):
            self._verify()

    def _verify(self) -> None:
        self._verified, self._verified_time = self._last_key, self._last_time
        self._unsure_entries = 0

    def _lose(self, gap: Gap) -> None:
        self._chunks.extend(self.sequencer.add_event(gap, gap.end or self._last_time or _now()))


def part_size(fragments: Fragments) -> int:
    """Return about how many bytes these fragments take in a json-file."""
    return sum(map(len, fragments.texts)) + _JSON_OVERHEAD * len(fragments)


def _both(these: Sequence[int], those: Sequence[int], of: int) -> Sequence[int]:
    """Return the indices that are in both lists, ascending. `of` is how many there are in all."""
    if len(these) == of or len(those) == of:
        return those if len(these) == of else these
    return sorted(set(these).intersection(those))


def _nowhere(_: int) -> FilePosition | None:
    return None


def _now() -> int:
    return time.time_ns() // 1_000
