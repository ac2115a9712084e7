"""Read one container: discovery reports changes of its state, and the sink takes one chunk at a time.

A `ContainerReader` belongs to the thread that calls `step`. Any thread may call its other public methods.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

import structlog

from logferry_protocol.job import SourceName

from ..core.batching.cursor import FIRST_NOTICES, LEFT_OUT, Cursor, UnknownCursorError, decode
from ..core.batching.damaged_cursor import resume_from_damaged_cursor
from ..core.batching.entries import Chunk, PreencodedBatch
from ..core.batching.entry_sequencer import EntrySequencer
from ..core.batching.lifecycle import RunState, unrecorded_entries
from ..core.batching.ports import Job, Offer, Position, Sink, Source
from ..core.container.metadata import ContainerMetadata

log = structlog.get_logger()


_OWN_DRIVERS: Final = frozenset({"", "json-file", "local", "journald", "none"})
_COPIED: Final = (
    "The logging driver cannot be read. The engine keeps a copy for reading, which lacks lines where the driver failed"
    " or was slow."
)


FAILED: Final = "reading failed inside the agent, which tries again: see the agent's log for the error"
"""The problem of a job whose reading met an internal error."""
_UNREADABLE: Final = "The log cannot be read: see the notice in it."
_LEFT_OUT: Final = "The log is no longer read: see the notice in it."


class Step(Enum):
    """The result of a step."""

    MORE = "more"
    IDLE = "idle"
    FULL = "full"
    DONE = "done"


class TrackedSource(Source, Protocol):
    """What the file and API sources offer beyond what the pipeline needs."""

    sequencer: EntrySequencer
    gone: bool

    def set_running(self, running: bool) -> None:
        """Record whether the container runs. May be called from any thread, also while `read` waits."""
        ...

    @property
    def unread(self) -> int:
        """Number of bytes known to be unread; 0 where it cannot be known."""
        ...

    def at_end(self) -> Chunk | PreencodedBatch | None:
        """Return what is due at the present end of the log, one chunk at a time; None when nothing is."""
        ...


SourceMaker = Callable[[ContainerMetadata, EntrySequencer], TrackedSource]


class ContainerReader:
    """A container, its source, and the position reached in its log."""

    def __init__(self, metadata: ContainerMetadata, make_source: SourceMaker, *, fresh: bool) -> None:
        """Read a container.

        Args:
            metadata: What the engine says of it.
            make_source: Makes its source, again after each move.
            fresh: Whether the agent has seen the container since its creation.
        """
        self.metadata = metadata
        self.id = metadata.id
        self.gone = False
        self.done = False
        """Set when everything was read and the job was ended."""
        self.expected_source: SourceName | None = None
        """The source that is expected before there is one."""
        self.source: TrackedSource | None = None
        self.on_news: Callable[[], None] = lambda: None
        """Called, from any thread, when `step` has something to do."""
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when lines came from a container that should not be running."""
        self._make_source = make_source
        self._fresh = fresh
        self._run_state = metadata.run_state
        self._inbox: deque[RunState] = deque([metadata.run_state])
        self._position: deque[Position] = deque(maxlen=1)
        self._epoch = -1
        self._held: Chunk | PreencodedBatch | None = None
        self._notices: deque[Chunk] = deque()
        """Notices to hand over before anything from the source."""
        self._renewing = False
        """Whether the next step makes a new source."""
        self._misplaced = False
        """Whether the sink must still be told that the position was not understood."""
        self._insisting = False
        self._doubted = False
        self._announced: SourceName | None = None
        """The name of the source that the sink was last told."""

    @property
    def job(self) -> Job:
        """The job as it is known now."""
        source = self.source.name if self.source is not None else self.expected_source
        copied = source == "api" and self.metadata.container.driver not in _OWN_DRIVERS
        problem = _COPIED if copied else _UNREADABLE if source == "none" else None
        problem = _LEFT_OUT if self.metadata.left_out else problem
        life = self.metadata.life.model_copy(update={"source": source, "problem": problem})
        if self.gone:
            life = life.model_copy(update={"state": "removed"})
        return Job(self.id, self.metadata.container, life)

    def learn(self, metadata: ContainerMetadata) -> None:
        """Take in a new description of the container."""
        self.metadata = metadata
        self._tell(metadata.run_state)

    def learn_end(self, run_state: RunState) -> None:
        """Take in from an event that a run ended, or that the container is gone."""
        self.gone = self.gone or run_state.gone
        self.metadata = self.metadata.with_end(run_state, removed=self.gone)
        self._tell(run_state)

    def read_although_stopped(self) -> None:
        """Read on although the container does not run: the engine was asked again and confirmed it."""
        self._insisting = True
        self.on_news()

    def move(self, position: Position) -> None:
        """Continue from another position."""
        self._position.append(position)
        self.on_news()

    def renew(self) -> None:
        """Make a new source at the next step, because the description requires it.

        It continues from the sink's position.
        """
        self._renewing = True
        self.on_news()

    def begin_again(self, sink: Sink) -> None:
        """Continue from the sink's position at the next step, after an internal error.

        Only for the reading thread.
        """
        if not self._position:
            self._position.append(sink.job_appeared(self.job))

    @property
    def run_state(self) -> RunState:
        """The container's state that was reported last."""
        return self._run_state

    def _tell(self, run_state: RunState) -> None:
        self._run_state = run_state
        self._inbox.append(run_state)
        source = self.source
        if source is not None:
            source.set_running(run_state.running)
        self._doubted = False
        self.on_news()

    # --- the reading thread ---

    def step(self, sink: Sink, limit_bytes: int) -> Step:
        """Hand one chunk to the sink, if there is one."""
        if self._renewing:
            self._renewing = False
            self.begin_again(sink)
        source = self._placed()
        if source is None:
            return Step.IDLE
        while self._inbox:
            run_state = self._inbox.popleft()
            source.sequencer.learn(run_state, fresh=self._fresh)
        source.gone = self.gone
        chunk = self._held if self._held is not None else self._next(source, limit_bytes)
        if chunk is None:
            if source.ended and not self._inbox and not self._position and not self._renewing:
                sink.job_changed(self.job)
                sink.job_ended(self.id)
                source.close()
                self.done = True
                return Step.DONE
            return Step.IDLE
        self._held = chunk
        if self._misplaced:
            self._misplaced = False
            sink.position_lost(self.id, self._epoch)
        answer = sink.offer(self.id, self._epoch, chunk)
        if answer is Offer.FULL:
            return Step.FULL
        self._held = None
        if source.name != self._announced:
            self._announced = source.name
            sink.job_changed(self.job)
        if answer is Offer.STALE:
            source.close()
            self.source = None
            return Step.IDLE
        return Step.MORE

    def close(self) -> None:
        """Close files and connections."""
        if self.source is not None:
            self.source.close()

    def _next(self, source: TrackedSource, limit_bytes: int) -> Chunk | PreencodedBatch | None:
        if self._notices:
            return self._notices.popleft()
        if self.metadata.left_out:
            return source.read(limit_bytes)
        if source.sequencer.between_runs and not self.gone and not self._insisting:
            # Lines that come now belong to a start that is not known yet. Its entry must come first.
            if source.unread and not self._doubted:
                self._doubted = True
                self.on_doubt()
            return None
        chunk = source.read(limit_bytes)
        if chunk is not None:
            return chunk
        if self._renewing:
            return None  # it was closed, not read to its end
        self._insisting = False
        return source.at_end()

    def _placed(self) -> TrackedSource | None:
        """Return the source, made again when there is a new position; None until there is a position."""
        if self._position:
            position = self._position.popleft()
            if self.source is not None:
                self.source.close()
            self._held = None
            self._notices.clear()
            self._epoch = position.epoch
            sequencer = self._make_sequencer(position)
            self._begin_with_notices(sequencer)
            self.source = self._make_source(self.metadata, sequencer)
            if unrecorded_entries(sequencer.life, self._run_state):
                self.source.set_running(True)  # a run that was not read yet, whether it is over or not
            self.source.set_running(self._run_state.running)
            if not self._inbox:
                self._inbox.append(self._run_state)
        return self.source

    def _begin_with_notices(self, sequencer: EntrySequencer) -> None:
        """Queue the notices with which the job begins, and those that an earlier version did not know."""
        metadata = self.metadata
        if metadata.left_out:
            return
        sequencer.notices = sequencer.notices.replace(LEFT_OUT, "")
        if metadata.notices and FIRST_NOTICES not in sequencer.notices:
            sequencer.notices += FIRST_NOTICES
            moment = (metadata.created or time.time_ns()) // 1_000
            for notice in metadata.notices:
                self._notices.extend(sequencer.add_event(notice, moment))

    def _make_sequencer(self, position: Position) -> EntrySequencer:
        """Return a sequencer for a position. A position that cannot be decoded makes it begin with a gap."""
        try:
            return EntrySequencer(decode(position.cursor) if position.cursor is not None else Cursor())
        except UnknownCursorError as error:
            log.warning("cursor_unknown", job=self.id, problem=str(error))
            sequencer, gap = resume_from_damaged_cursor(position, self._run_state, time.time_ns())
            (self._held,) = sequencer.add_event(gap, gap.start or gap.end or 0)
            self._misplaced = True
            return sequencer
