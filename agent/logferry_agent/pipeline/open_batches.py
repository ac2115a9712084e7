"""From chunks to batches: what is open of each job, when it is closed, and how it reaches the disk before that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ..core.batching.entries import Batch, Chunk, PreencodedBatch, SavedEntries
from ..core.batching.processing import Processor
from ..core.session.session import Session
from ..edge.metrics import Metrics
from ..edge.spool import Spool, Stored
from .job_buffers import Lane, Lanes
from .journal import Journal
from .quarantine import Quarantine
from .shelf import Shelf

SAVE_EVERY_S = 0.2
"""Open batches, and what is held back of them, reach the disk this long after their first unsaved entry (DESIGN.md:
within 250 ms)."""

ENDED_WAIT_S = 0.05
"""At least so long between two batches that are not full of a container that runs no more: what is left of its log
would else go in as many as there are round trips while it is read. Its end, once that is told, does not wait."""


Guard = Callable[[str, Callable[[], None], float], None]


class Gathering:
    """The open batches of all jobs."""

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        *,
        shelf: Shelf,
        session: Session,
        metrics: Metrics,
        lanes: Lanes,
        quarantine: Quarantine,
        flush_interval_s: float,
        merge_wait_s: float,
    ) -> None:
        self._spool, self._journal, self._shelf = spool, journal, shelf
        self._session, self._metrics = session, metrics
        self._lanes, self._quarantine = lanes, quarantine
        self.guard: Guard = lambda _, does, __: does()
        """Does something for a job, and keeps what fails there from the others."""
        self._flush_interval_s, self._merge_wait_s = flush_interval_s, merge_wait_s
        self.hurried = False
        """Set when the agent stops: nothing waits any more."""
        self._open: dict[str, Lane] = {}
        """Lanes with entries in their open batch."""
        self._holding: dict[str, Lane] = {}
        """Lanes whose processor holds an entry back."""
        self._kept: dict[str, Lane] = {}
        """Lanes with such an entry on the disk, be it held back still or not."""
        self._save_at: float | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is open."""
        return not self._open and not self._holding

    def moments(self, now: float) -> list[float | None]:
        """When something will be due here."""
        due = [self._due(lane, now) for lane in self._open.values()]
        return [self._save_at, *due, *(lane.held_until for lane in self._holding.values())]

    # --- in -----------------------------------------------------------------------------------------------------

    def take(self, lane: Lane, chunk: Chunk | PreencodedBatch, begin: int, now: float) -> None:
        """A chunk was read; its entries count from `begin` on."""
        if isinstance(chunk, PreencodedBatch):
            if not begin and self._adopts(lane, chunk, now):
                self._adopt(lane, chunk.batch, now)
                self._metrics.redacted(chunk.hidden)
                return
            chunk = chunk.decode(lane.processor.state if lane.processor is not None else "")
        if lane.processor is None:
            self.gain(lane, chunk, begin, now)
            return
        if (processed := lane.processor.process(chunk, begin)) is not None:
            self.gain(lane, processed, 0, now)
        self._count(lane.processor)
        if lane.processor.holding:
            lane.held_until = now + self._merge_wait_s
            self._holding[lane.id] = lane
        if lane.processor.held is not lane.held_saved:
            self._save_by(now + SAVE_EVERY_S)

    def _adopts(self, lane: Lane, sealed: PreencodedBatch, now: float) -> bool:
        """Return whether a closed batch holds what its lines would have become here."""
        if lane.processor is None:
            return not sealed.redaction
        if lane.processor.holding and lane.processor.processing.by_line:
            self._let_go(lane, now)  # its line does not go on: where one is open, nothing is pressed
        return lane.processor.accepts(sealed.redaction)

    def _count(self, processor: Processor) -> None:
        if processor.limited:
            self._metrics.dropped("rate_limit", processor.limited, processor.gaps)
            processor.limited = processor.gaps = 0
        if processor.hidden:
            self._metrics.redacted(processor.hidden)
            processor.hidden.clear()

    def gain(self, lane: Lane, chunk: Chunk, begin: int, now: float) -> None:
        """Entries that were processed, if they are to be, join the open batch."""
        if not lane.batcher.count:
            lane.opened_at = now
        lane.batcher.add(chunk, begin)
        self._keep_open(lane, now)

    def restore(self, lane: Lane, chunks: Iterable[Chunk], now: float) -> None:
        """The open batch of the last run, all of which is on the disk. The session knows the job already.

        It may be more than one batch now: how well the job's lines compress has to be learnt again.
        """
        for chunk in chunks:
            lane.batcher.add(chunk)
        lane.batcher.mark_saved()
        lane.opened_at = now
        self._keep_open(lane, now)

    def restore_held(self, lane: Lane, chunk: Chunk, now: float) -> None:
        """What the last run held back behind that: as if it was read now."""
        lane.held_saved = chunk
        self._kept[lane.id] = lane
        self.take(lane, chunk, 0, now)
        self._save_by(now + SAVE_EVERY_S)

    def drop_held(self, job_id: str) -> None:
        """What was held back of a job went on since."""
        self._journal.grow(lambda: self._spool.drop_held(job_id))

    def drop_pieces(self, job_id: str) -> None:
        """What is on the disk of a job's open batch is void."""
        self._journal.grow(lambda: self._spool.drop_pieces(job_id))

    def _keep_open(self, lane: Lane, now: float) -> None:
        while lane.batcher.full:
            self._close(lane, now)
        if lane.batcher.count:
            self._open[lane.id] = lane
            self._save_by(now + SAVE_EVERY_S)

    # --- out ----------------------------------------------------------------------------------------------------

    def pass_time(self, now: float) -> None:
        """Let go, close and save what is due."""
        for lane in list(self._holding.values()):
            if now >= lane.held_until or self.hurried:
                self.guard(lane.id, partial(self._let_go, lane, now), now)
        for lane in list(self._open.values()):
            due = self._due(lane, now)
            if due is not None and due <= now:
                self.guard(lane.id, partial(self._close, lane, now), now)
        if self._save_at is not None and now >= self._save_at:
            self.save_all(now)

    def finish(self, lane: Lane, now: float) -> None:
        """Nothing more comes of a job: close all that is open of it."""
        self._let_go(lane, now)
        while lane.batcher.count:
            self._close(lane, now)

    def save_all(self, now: float) -> None:
        """Let all that is open reach the disk."""
        self._save_at = None
        for lane in list((self._open | self._holding | self._kept).values()):
            self.guard(lane.id, partial(self._save, lane), now)

    def clear(self, lane: Lane, cursor: str | None) -> None:
        """Give up what is open of a job; it goes on after a cursor."""
        lane.batcher.clear()
        lane.held_saved = None
        if lane.processor is not None:
            lane.processor.resume_after(cursor)
        self.forget(lane.id)

    def forget(self, job_id: str) -> None:
        """A job is done with."""
        self._open.pop(job_id, None)
        self._holding.pop(job_id, None)
        self._kept.pop(job_id, None)

    def _let_go(self, lane: Lane, now: float) -> None:
        """Let entries that waited for lines to join them go on as they are."""
        self._holding.pop(lane.id, None)
        if lane.processor is not None and (processed := lane.processor.flush()) is not None:
            self.gain(lane, processed, 0, now)
            self._count(lane.processor)
        if lane.held_saved is not None:
            self._save_by(now + SAVE_EVERY_S)

    def _save_by(self, moment: float) -> None:
        if self._save_at is None:
            self._save_at = moment

    def _close(self, lane: Lane, now: float) -> None:
        """Close a batch: it goes to the spool with the cursor after it, in the place of its pieces."""
        saved = lane.batcher.saved
        batch = lane.batcher.close()
        if batch is None:
            return
        if not lane.batcher.count:
            self._open.pop(lane.id, None)
        if saved:
            self._journal.grow(lambda: self._spool.drop_pieces(lane.id))
        self._put(lane, batch, now)
        if saved > batch.count:
            self._save(lane)

    def _adopt(self, lane: Lane, batch: Batch, now: float) -> None:
        """A batch was closed where it was read: what is open goes before it."""
        while lane.batcher.count:
            self._close(lane, now)
        self._put(lane, batch, now)

    def _put(self, lane: Lane, batch: Batch, now: float) -> None:
        missing = None
        if (why := self._quarantine.refused(lane.id, batch)) is not None:
            stored = Stored(self._shelf.next_id, lane.id, None, False, len(batch.body), batch)
            batch, missing = self._quarantine.set_aside(stored, "malformed", why, lane.cursor)
        lane.opened_at = now
        lane.cursor = batch.cursor
        self._shelf.put(lane, batch, now, missing)
        self._journal.move_cursor(lane.id, batch.cursor)
        self._lanes.progressed(lane, now)

    def _due(self, lane: Lane, now: float) -> float | None:
        """When the open batch of a lane should be closed; None while it could not be sent anyway."""
        if not self._session.idle(lane.id, now):
            return None
        if self.hurried:
            return now
        if lane.life.over:
            wait_s = 0.0 if lane.batcher.ends_with_event else ENDED_WAIT_S
            return max(now, self._session.jobs[lane.id].sent_at + wait_s)
        if self._session.watched(lane.id, now):
            state = self._session.jobs[lane.id]
            return max(now, state.sent_at + state.interval_s)
        return lane.opened_at + self._flush_interval_s

    def _save(self, lane: Lane) -> None:
        each = lane.processor is not None and lane.processor.recounts
        if (piece := lane.batcher.unsaved(each=each)) is not None:
            lane.batcher.mark_saved()
            self._journal.grow(lambda: self._spool.save_piece(lane.id, piece))
        self._save_held(lane)

    def _save_held(self, lane: Lane) -> None:
        """Let what is held back reach the disk, in the transaction of what comes before it; or take it away there.

        While that is not done, what is on the disk follows a place which is no longer the job's, and is void.
        """
        held = lane.processor.held if lane.processor is not None else None
        if held is lane.held_saved:
            return
        lane.held_saved = held
        if held is None:
            self._kept.pop(lane.id, None)
            self.drop_held(lane.id)
            return
        self._kept[lane.id] = lane
        place = lane.batcher.cursor or lane.cursor
        piece = SavedEntries(held.times, held.streams, held.texts, held.cursor_at(len(held.texts)))
        self._journal.grow(lambda: self._spool.save_held(lane.id, place, piece))
