"""The queue of batches between reading and the cloud. It owns the spool.

A batch passes through in one direction:

1. `append` queues a closed batch, for the spool and for the session.
2. `send` takes the session's envelope: it schedules the write of the sequences that its batches were given.
3. `commit` writes everything that was scheduled, and only then sends the envelope (see `spool_writer.py`).
4. `acknowledge` removes the batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Protocol

import structlog
from pydantic import BaseModel, ValidationError

from logferry_protocol.messages import Ingest, encode

from ..core.batching.entries import Batch, SavedEntries
from ..core.batching.gap import MissingEntries, build_gap_batch, measure_missing
from ..core.session.effects import SendBatches, SendMessage, SetAside
from ..core.session.envelope import wire_batch
from ..core.session.job_record import QueuedBatch, wire_size
from ..core.session.refused_batches import gap_for_refused, refusal
from ..core.session.session import Session
from ..edge.dead_letters import DeadLetters
from ..edge.metrics import Metrics
from ..edge.spool import Progress, Spool, SpoolStuckError, Stored, StoredJob
from .spool_writer import SpoolWriter

log = structlog.get_logger(__name__)

RECENT_BATCHES = 64
"""Bodies kept in memory besides the spool: about 1.4 MiB."""


class CloudLinks(Protocol):
    """The connections to the cloud, as the pipeline sees them. No method blocks."""

    def send(self, link: int, text: str) -> None:
        """Send a frame, if the connection is still open."""
        ...

    def close(self, link: int) -> None:
        """Close a connection."""
        ...


class BatchQueue:
    """The batches of all jobs from their closing to their acknowledgement, and everything that is written for them."""

    def __init__(self, spool: Spool, session: Session, dead_letters: DeadLetters, metrics: Metrics) -> None:
        """Start with an empty queue; `load` brings back what the last run left.

        Args:
            spool: where everything is written.
            session: decides when a queued batch is sent.
            dead_letters: where refused batches are kept.
            metrics: what is sent, acknowledged and dropped.
        """
        self.spool = spool
        """For reading; every write goes through this queue."""
        self._session, self._dead_letters, self._metrics = session, dead_letters, metrics
        self._writer = SpoolWriter(spool)
        self.links: CloudLinks | None = None
        """Set when the pipeline starts; nothing is sent before."""
        self._next_id = 1
        self._recent: OrderedDict[int, Batch] = OrderedDict()
        """The batches that were closed last, so that those sent at once need not be read back."""
        self._missing: dict[str, dict[int, MissingEntries]] = {}
        """Per job: what the queued gaps that were made here stand for."""
        self._refused: list[tuple[str, QueuedBatch]] = []
        """Batches that no message can carry: met only when the spool returns other values than were written."""

    # --- writing and sending ------------------------------------------------------------------------------------

    @property
    def stuck(self) -> bool:
        """Whether the spool's disk accepts no writes that need room."""
        return self._writer.stuck

    @property
    def stuck_until(self) -> float | None:
        """When to try again; None while the disk accepts writes."""
        return self._writer.stuck_until

    @property
    def empty(self) -> bool:
        """Whether everything that was scheduled is written and sent."""
        return self._writer.empty

    @property
    def sending(self) -> bool:
        """Whether something waits to be sent until the writes before it are done."""
        return self._writer.sending

    def send(self, effect: SendMessage | SendBatches) -> None:
        """Send something at the next commit, after the sequences of its batches are written."""
        if isinstance(effect, SendBatches):
            for _, batch in effect.batches:
                # A batch that is not on disk yet takes its sequence along.
                if batch.first is not None and not self._writer.awaits(batch.id):
                    self._writer.add_freeing(partial(self.spool.assign, batch.id, batch.first), batch.id)
        self._writer.send(effect)

    def commit(self, now: float) -> None:
        """Write what was scheduled, then send what waited for it."""
        for effect in self._writer.commit(now):
            message = effect.message if isinstance(effect, SendMessage) else self._envelope(effect)
            if self.links is not None and message is not None:
                self.links.send(effect.link, encode(message))

    def close_connection(self, link: int) -> None:
        """Close a connection to the cloud."""
        if self.links is not None:
            self.links.close(link)

    def _envelope(self, effect: SendBatches) -> BaseModel | None:
        batches = []
        for job_id, queued in effect.batches:
            try:
                batch = self._body(queued)
            except SpoolStuckError as error:
                log.warning("batch_unreadable", job=job_id, reason=str(error))
                continue  # it is sent again when no answer arrives
            if batch is None or queued.first is None:
                continue
            try:
                batches.append(wire_batch(job_id, queued.first, batch))
            except ValidationError:
                self._refused.append((job_id, queued))
                continue  # a gap takes its place, and is sent when no answer arrives
            self._metrics.sent(batch)
        return Ingest(id=effect.id, batches=batches) if batches else None

    def _body(self, queued: QueuedBatch) -> Batch | None:
        recent = self._recent.get(queued.id)
        if recent is not None and recent.digest == queued.digest:
            return recent
        stored = self.spool.load(queued.id)
        return stored.batch if stored is not None else None

    # --- batches ------------------------------------------------------------------------------------------------

    def load(self) -> list[tuple[Stored, QueuedBatch]]:
        """Return the batches that the last run left in the spool, in order, without their bodies."""
        loaded = []
        for stored in self.spool.queue():
            self._next_id = stored.id + 1
            queued = _queued(stored.id, stored.batch, stored.size, gap=stored.gap, first=stored.first)
            loaded.append((stored, queued))
        return loaded

    def accept(self, job_id: str, batch: Batch, cursor: str | None) -> tuple[Batch, MissingEntries | None]:
        """Return a closed batch, or the gap that takes its place when no message could carry it.

        Args:
            job_id: the job that it belongs to.
            batch: the batch.
            cursor: the job's cursor before it.

        Returns:
            What to append, and what it stands for when it is a gap.
        """
        if (why := refusal(job_id, batch)) is None:
            return batch, None
        return self._set_aside(
            Stored(self._next_id, job_id, None, False, len(batch.body), batch), "malformed", why, cursor
        )

    def append(self, job_id: str, batch: Batch, now: float, missing: MissingEntries | None = None) -> None:
        """Queue an accepted batch, and move the job's cursor behind it.

        Args:
            job_id: the job that it belongs to.
            batch: the batch with its body.
            now: the current moment.
            missing: what it stands for when it is a gap.
        """
        self._append(job_id, batch, now, missing)
        self._writer.move_cursor(job_id, batch.cursor)

    def append_gap(self, job_id: str, gap: Batch, missing: MissingEntries, now: float) -> None:
        """Queue a gap for entries that cannot be read any more; the job's cursor stays."""
        self._append(job_id, gap, now, missing)

    def acknowledge(self, job_id: str, batches: tuple[QueuedBatch, ...]) -> None:
        """Remove batches that are durable in the cloud."""
        missing = self._missing.get(job_id)
        for batch in batches:
            if missing:
                missing.pop(batch.id, None)
            self._recent.pop(batch.id, None)
            self._writer.add_freeing(partial(self.spool.remove, batch.id), batch.id)
            self._metrics.acknowledged(batch)

    def clear(self, job_id: str) -> None:
        """Remove everything that was read of a job: its queue, its open batch, and what is held back of it."""
        self._missing.pop(job_id, None)
        self._writer.forget_cursor(job_id)
        self._writer.add_growing(lambda: self.spool.clear(job_id))

    def _append(self, job_id: str, batch: Batch, now: float, missing: MissingEntries | None) -> None:
        batch_id = self._next_id
        self._next_id += 1
        gap = missing is not None
        if missing is not None:
            self._missing.setdefault(job_id, {})[batch_id] = missing
        queued = _queued(batch_id, batch, len(batch.body), gap=gap)
        self._writer.add_growing(
            # The sequence is read when the write is done: the batch may have been given one by then.
            lambda: self.spool.append(batch_id, job_id, batch, gap=gap, first=queued.first),
            batch_id,
        )
        self._recent[batch_id] = batch
        if len(self._recent) > RECENT_BATCHES:
            self._recent.popitem(last=False)
        self._session.enqueue(job_id, queued, now)

    # --- gaps in the place of batches ---------------------------------------------------------------------------

    def take_refused(self) -> Iterator[SetAside]:
        """Yield an effect for each batch that turned out to fit no message and is still queued.

        Each is checked only when the one before it has been carried out.
        """
        refused, self._refused = self._refused, []
        for job_id, batch in refused:
            if not batch.gap and (job := self._session.jobs.get(job_id)) is not None and batch in job.queue:
                yield SetAside(job_id, batch, "malformed", "no message can carry what the spool holds of it")

    def set_aside(self, job_id: str, batch: QueuedBatch, reason: str, message: str, now: float) -> None:
        """Keep a refused batch in the dead-letter folder, and let a gap take its place and its sequence.

        Args:
            job_id: the job that it belongs to.
            batch: the queued batch.
            reason: why it is refused, as one of the wire's words.
            message: the same in a sentence.
            now: the current moment.
        """
        if (stored := self.spool.load(batch.id)) is None:
            return
        gap, missing = self._set_aside(stored, reason, message)
        self.replace_with_gap(job_id, batch, gap, missing)
        # While the queue is being restored, the session does not know the job yet.
        if (job := self._session.jobs.get(job_id)) is not None:
            self._session.replace_queue(job_id, job.queue, now)

    def replace_with_gap(self, job_id: str, batch: QueuedBatch, gap: Batch, missing: MissingEntries) -> None:
        """Let a gap take a queued batch's place, and its sequence if it has one."""
        self._missing.setdefault(job_id, {})[batch.id] = missing
        replaced = _queued(batch.id, gap, len(gap.body), gap=True, first=batch.first)
        for name in ("count", "raw", "gaps", "start", "end", "digest", "size", "gap"):
            setattr(batch, name, getattr(replaced, name))
        self._writer.add_growing(lambda: self.spool.replace(batch.id, gap, batch.first), batch.id)

    def oldest_unsent(
        self, may_drop: Callable[[str], bool], except_ids: Collection[int] = ()
    ) -> tuple[str, QueuedBatch] | None:
        """Return the oldest batch that was never sent and is no gap, with its job; None when there is none.

        Args:
            may_drop: whether a job's batches count.
            except_ids: batches that do not count.
        """
        oldest: tuple[str, QueuedBatch] | None = None
        for job in self._session.jobs.values():
            if not may_drop(job.id):
                continue
            batch = next(
                (batch for batch in job.queue if batch.first is None and not batch.gap and batch.id not in except_ids),
                None,
            )
            if batch is not None and (oldest is None or batch.id < oldest[1].id):
                oldest = (job.id, batch)
        return oldest

    def drop(self, job_id: str, batch: QueuedBatch, now: float) -> bool:
        """Drop a batch for which the spool has no room: a gap takes its place, joined with an unsent gap before it.

        Args:
            job_id: the job that it belongs to.
            batch: the queued batch.
            now: the current moment.

        Returns:
            False when the spool does not hold the batch, so that dropping it frees nothing.
        """
        stored = self.spool.load(batch.id)
        if stored is None:
            return False
        queue = list(self._session.jobs[job_id].queue)
        index = next(index for index, queued in enumerate(queue) if queued.id == batch.id)
        before = queue[index - 1] if index else None
        missing = measure_missing(stored.batch)
        self._metrics.dropped("spool_full", missing.count)
        known = self._missing.get(job_id, {})
        if before is not None and before.gap and before.first is None and before.id in known:
            self._writer.add_growing(partial(self.spool.remove, before.id))
            missing += known.pop(before.id)
            del queue[index - 1]
        self.replace_with_gap(job_id, batch, build_gap_batch("spool_full", missing, stored.batch.cursor), missing)
        self._session.replace_queue(job_id, queue, now)
        return True

    def _set_aside(
        self, stored: Stored, reason: str, message: str, cursor: str | None = None
    ) -> tuple[Batch, MissingEntries]:
        where = self._dead_letters.keep(stored, reason, message)
        gap, missing, kind = gap_for_refused(stored.job, stored.batch, reason, message, cursor)
        self._metrics.dropped(kind, missing.count)
        log.error("batch_set_aside", job=stored.job, first=stored.first, reason=reason, why=message, kept=str(where))
        return gap, missing

    # --- jobs and their open batches ----------------------------------------------------------------------------

    def put_job(self, job: StoredJob) -> None:
        """Write a job whole."""
        self._writer.add_growing(partial(self.spool.put_job, job))

    def describe_job(self, job: StoredJob) -> None:
        """Write what the engine says of a job."""
        self._writer.add_growing(partial(self.spool.describe, job))

    def advance_job(self, job_id: str, progress: Progress) -> None:
        """Write how far a job is acknowledged."""
        self._writer.add_freeing(partial(self.spool.advance, job_id, progress))

    def forget_job(self, job_id: str) -> None:
        """Remove a job and everything that is queued of it."""
        self._missing.pop(job_id, None)
        self._writer.add_growing(partial(self.spool.forget, job_id))

    def save_piece(self, job_id: str, piece: SavedEntries) -> None:
        """Write what a job's open batch has gained."""
        self._writer.add_growing(partial(self.spool.save_piece, job_id, piece))

    def drop_pieces(self, job_id: str) -> None:
        """Remove what is on disk of a job's open batch."""
        self._writer.add_growing(partial(self.spool.drop_pieces, job_id))

    def save_held(self, job_id: str, cursor: str | None, piece: SavedEntries) -> None:
        """Write the entry that a job's processor holds back.

        Args:
            job_id: the job.
            cursor: the cursor that the entry follows.
            piece: the entry.
        """
        self._writer.add_growing(partial(self.spool.save_held, job_id, cursor, piece))

    def drop_held(self, job_id: str) -> None:
        """Remove what is on disk of an entry that was held back."""
        self._writer.add_growing(partial(self.spool.drop_held, job_id))


def _queued(batch_id: int, batch: Batch, size: int, *, gap: bool = False, first: int | None = None) -> QueuedBatch:
    return QueuedBatch(
        id=batch_id,
        count=batch.count,
        raw=batch.raw,
        gaps=batch.gaps,
        start=batch.start,
        end=batch.end,
        digest=batch.digest,
        size=wire_size(size, batch.cursor),
        gap=gap,
        first=first,
    )
