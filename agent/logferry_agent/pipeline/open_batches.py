"""From chunks to batches: what each job's open batch gains, when it is closed, and how it reaches the disk before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ..core.batching.entries import Batch, Chunk, PreencodedBatch, SavedEntries
from ..core.batching.processing import Processor
from ..core.session.session import Session
from ..edge.metrics import Metrics
from .batch_queue import BatchQueue
from .job_buffers import JobBuffer, JobBuffers

SAVE_EVERY_S = 0.2
"""Open batches, and what is held back of them, reach the disk this many seconds after their first unsaved entry.
ARCHITECTURE.md promises 250 ms."""

ENDED_WAIT_S = 0.05
"""The least seconds between two batches that are not full, of a container that does not run any more. Without it, the
rest of its log would go in as many batches as there are round trips while it is read. The entry that records its end
does not wait."""

Step = tuple[str, Callable[[], None]]
"""Something to do for one job, with the job's id, so that a failure of it affects no other job."""


class OpenBatches:
    """Fills, saves and closes the open batches of all jobs."""

    def __init__(
        self, queue: BatchQueue, buffers: JobBuffers, session: Session, metrics: Metrics, flush_interval_s: float
    ) -> None:
        """Start without open batches.

        Args:
            queue: takes the closed batches, and saves the open ones.
            buffers: the jobs.
            session: tells whether a batch would be sent at once.
            metrics: counts what processing dropped and hid.
            flush_interval_s: how long lines of a job that nobody watches may wait for a fuller batch, in seconds.
        """
        self._queue, self._buffers, self._session, self._metrics = queue, buffers, session, metrics
        self._flush_interval_s = flush_interval_s
        self._open, self._holding, self._kept = buffers.open, buffers.holding, buffers.kept
        self.hurried = False
        """Set when the agent stops: nothing waits any more."""
        self._save_at: float | None = None

    @property
    def empty(self) -> bool:
        """Whether no batch is open and nothing is held back."""
        return not self._open and not self._holding

    def deadlines(self, now: float) -> list[float | None]:
        """Return when something will be due here."""
        due = [self._due(buffer, now) for buffer in self._open.values()]
        return [self._save_at, *due, *(buffer.held_until for buffer in self._holding.values())]

    # --- in -----------------------------------------------------------------------------------------------------

    def take(self, buffer: JobBuffer, chunk: Chunk | PreencodedBatch, begin: int, now: float) -> None:
        """Process a chunk of a job, and add it to the job's open batch.

        Args:
            buffer: the job.
            chunk: what was read.
            begin: the index of its first entry that counts.
            now: the current moment.
        """
        if isinstance(chunk, PreencodedBatch):
            if not begin and self._adopts(buffer, chunk, now):
                self._adopt(buffer, chunk.batch, now)
                self._metrics.redacted(chunk.hidden)
                return
            chunk = chunk.decode(buffer.processor.state if buffer.processor is not None else "")
        if buffer.processor is None:
            self._add(buffer, chunk, begin, now)
            return
        if (processed := buffer.processor.process(chunk, begin)) is not None:
            self._add(buffer, processed, 0, now)
        self._count(buffer.processor)
        if buffer.processor.holding:
            buffer.held_until = now + buffer.processor.processing.merge_wait_s
            self._holding[buffer.id] = buffer
        if buffer.processor.held is not buffer.held_saved:
            self._save_by(now + SAVE_EVERY_S)

    def _adopts(self, buffer: JobBuffer, preencoded: PreencodedBatch, now: float) -> bool:
        """Return whether a batch encoded elsewhere holds what its lines would have become here."""
        if buffer.processor is None:
            return not preencoded.redaction
        if buffer.processor.holding and buffer.processor.processing.by_line:
            self._release(buffer, now)  # its line is complete: only complete lines are encoded elsewhere
        return buffer.processor.accepts(preencoded.redaction)

    def _count(self, processor: Processor) -> None:
        if processor.limited:
            self._metrics.dropped("rate_limit", processor.limited, processor.gaps)
            processor.limited = processor.gaps = 0
        if processor.hidden:
            self._metrics.redacted(processor.hidden)
            processor.hidden.clear()

    def _add(self, buffer: JobBuffer, chunk: Chunk, begin: int, now: float) -> None:
        """Add processed entries to the open batch."""
        if not buffer.batcher.count:
            buffer.opened_at = now
        buffer.batcher.add(chunk, begin)
        self._keep_open(buffer, now)

    def restore(self, buffer: JobBuffer, chunks: Iterable[Chunk], now: float) -> None:
        """Bring back a job's open batch of the last run, all of which is on disk. The session knows the job already.

        It may become more than one batch, because how well the job's lines compress has to be learned again.
        """
        for chunk in chunks:
            buffer.batcher.add(chunk)
        buffer.batcher.mark_saved()
        buffer.opened_at = now
        self._keep_open(buffer, now)

    def restore_held(self, buffer: JobBuffer, chunk: Chunk, now: float) -> None:
        """Bring back the entry that the last run held back behind that, as if it was read now."""
        buffer.held_saved = chunk
        self._kept[buffer.id] = buffer
        self.take(buffer, chunk, 0, now)
        self._save_by(now + SAVE_EVERY_S)

    def _keep_open(self, buffer: JobBuffer, now: float) -> None:
        while buffer.batcher.full:
            self._close(buffer, now)
        if buffer.batcher.count:
            self._open[buffer.id] = buffer
            self._save_by(now + SAVE_EVERY_S)

    # --- out ----------------------------------------------------------------------------------------------------

    def due(self, now: float) -> Iterator[Step]:
        """Yield what is due: release held entries, close batches, and save the open ones.

        Each step has to be done before the next one is asked for.
        """
        for buffer in list(self._holding.values()):
            if now >= buffer.held_until or self.hurried:
                yield buffer.id, partial(self._release, buffer, now)
        for buffer in list(self._open.values()):
            due = self._due(buffer, now)
            if due is not None and due <= now:
                yield buffer.id, partial(self._close, buffer, now)
        if self._save_at is not None and now >= self._save_at:
            yield from self.unsaved()

    def unsaved(self) -> Iterator[Step]:
        """Yield the saving of every open batch and held entry."""
        self._save_at = None
        for buffer in list((self._open | self._holding | self._kept).values()):
            yield buffer.id, partial(self._save, buffer)

    def finish(self, buffer: JobBuffer, now: float) -> None:
        """Close everything that is open of a job of which nothing more will be read."""
        self._release(buffer, now)
        while buffer.batcher.count:
            self._close(buffer, now)

    def _release(self, buffer: JobBuffer, now: float) -> None:
        """Stop waiting for lines that join a held entry, and add it to the open batch as it is."""
        self._holding.pop(buffer.id, None)
        if buffer.processor is not None and (processed := buffer.processor.flush()) is not None:
            self._add(buffer, processed, 0, now)
            self._count(buffer.processor)
        if buffer.held_saved is not None:
            self._save_by(now + SAVE_EVERY_S)

    def _save_by(self, moment: float) -> None:
        if self._save_at is None:
            self._save_at = moment

    def _close(self, buffer: JobBuffer, now: float) -> None:
        """Close a batch: it goes to the spool with the cursor after it, in place of its pieces."""
        saved = buffer.batcher.saved
        batch = buffer.batcher.close()
        if batch is None:
            return
        if not buffer.batcher.count:
            self._open.pop(buffer.id, None)
        if saved:
            self._queue.drop_pieces(buffer.id)
        self._append(buffer, batch, now)
        if saved > batch.count:
            self._save(buffer)

    def _adopt(self, buffer: JobBuffer, batch: Batch, now: float) -> None:
        """Append a batch that was encoded elsewhere, after everything that is open of the job."""
        while buffer.batcher.count:
            self._close(buffer, now)
        self._append(buffer, batch, now)

    def _append(self, buffer: JobBuffer, batch: Batch, now: float) -> None:
        batch, missing = self._queue.accept(buffer.id, batch, buffer.cursor)
        buffer.opened_at = now
        buffer.cursor = batch.cursor
        self._queue.append(buffer.id, batch, now, missing)
        self._buffers.mark_processed(buffer, now)

    def _due(self, buffer: JobBuffer, now: float) -> float | None:
        """Return when to close a job's open batch; None while it could not be sent anyway."""
        if not self._session.idle(buffer.id, now):
            return None
        if self.hurried:
            return now
        if buffer.life.over:
            wait_s = 0.0 if buffer.batcher.ends_with_event else ENDED_WAIT_S
            return max(now, self._session.jobs[buffer.id].sent_at + wait_s)
        if self._session.watched(buffer.id, now):
            record = self._session.jobs[buffer.id]
            return max(now, record.sent_at + record.interval_s)
        return buffer.opened_at + self._flush_interval_s

    def _save(self, buffer: JobBuffer) -> None:
        each = buffer.processor is not None and buffer.processor.may_change_count
        if (piece := buffer.batcher.unsaved(each=each)) is not None:
            buffer.batcher.mark_saved()
            self._queue.save_piece(buffer.id, piece)
        self._save_held(buffer)

    def _save_held(self, buffer: JobBuffer) -> None:
        """Save the entry that is held back in the transaction of what comes before it, or remove it from the disk.

        Until that is done, the entry on disk follows a cursor that is no longer the job's, and is void.
        """
        held = buffer.processor.held if buffer.processor is not None else None
        if held is buffer.held_saved:
            return
        buffer.held_saved = held
        if held is None:
            self._kept.pop(buffer.id, None)
            self._queue.drop_held(buffer.id)
            return
        self._kept[buffer.id] = buffer
        before = buffer.batcher.cursor or buffer.cursor
        piece = SavedEntries(held.times, held.streams, held.texts, held.cursor_at(len(held.texts)))
        self._queue.save_held(buffer.id, before, piece)
