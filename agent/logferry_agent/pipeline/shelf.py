"""Closed batches between their making and their acknowledgement: in the spool, the newest in memory as well."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from ..core.batching.entries import Batch
from ..core.batching.gap import MissingEntries
from ..core.session.job_record import QueuedBatch, wire_size
from ..core.session.session import Session
from ..edge.spool import Spool, Stored
from .job_buffers import Lane
from .journal import Journal

RECENT_BATCHES = 64
"""Bodies kept in memory besides the spool: about 1.4 MiB."""


class Shelf:
    """Puts batches into the queue of their job, and finds them again."""

    def __init__(self, spool: Spool, journal: Journal, session: Session) -> None:
        self._spool, self._journal, self._session = spool, journal, session
        self._next_id = 1
        self._recent: OrderedDict[int, Batch] = OrderedDict()
        """Batches just closed, so that those sent at once need not be read back."""

    @property
    def next_id(self) -> int:
        """The number of the batch that is queued next."""
        return self._next_id

    def restored(self, stored: Stored) -> QueuedBatch:
        """A batch that the last run left in the spool."""
        self._next_id = stored.id + 1
        return _ref(stored.id, stored.batch, stored.size, gap=stored.gap, first=stored.first)

    def put(self, lane: Lane, batch: Batch, now: float, missing: MissingEntries | None = None) -> None:
        """Queue a batch; `missing` is what a gap stands for."""
        batch_id = self._next_id
        self._next_id += 1
        if missing is not None:
            lane.gaps[batch_id] = missing
        gap = missing is not None
        ref = _ref(batch_id, batch, len(batch.body), gap=gap)
        self._journal.grow(lambda: self._spool.append(batch_id, lane.id, batch, gap=gap, first=ref.first), batch_id)
        self._recent[batch_id] = batch
        if len(self._recent) > RECENT_BATCHES:
            self._recent.popitem(last=False)
        self._session.enqueue(lane.id, ref, now)

    def body(self, ref: QueuedBatch) -> Batch | None:
        """A queued batch with its body."""
        recent = self._recent.get(ref.id)
        if recent is not None and recent.digest == ref.digest:
            return recent
        stored = self._spool.load(ref.id)
        return stored.batch if stored is not None else None

    def load(self, batch_id: int) -> Stored | None:
        """A queued batch as it is in the spool."""
        return self._spool.load(batch_id)

    def assign(self, ref: QueuedBatch) -> None:
        """Write the sequence that a batch was given; one that is yet to be written takes it along."""
        if ref.first is not None and not self._journal.awaits(ref.id):
            self._journal.settle(partial(self._spool.assign, ref.id, ref.first), ref.id)

    def remove(self, lane: Lane, ref: QueuedBatch) -> None:
        """An acknowledged batch is not needed any more."""
        lane.gaps.pop(ref.id, None)
        self._recent.pop(ref.id, None)
        self._journal.settle(partial(self._spool.remove, ref.id), ref.id)

    def fold(self, lane: Lane, ref: QueuedBatch) -> MissingEntries:
        """Take a queued gap away whose place another one takes; what it stood for."""
        self._journal.grow(lambda: self._spool.remove(ref.id))
        return lane.gaps.pop(ref.id)

    def become_gap(self, lane: Lane, ref: QueuedBatch, gap: Batch, missing: MissingEntries) -> None:
        """Let a gap take a queued batch's place, and its sequence if it had one."""
        lane.gaps[ref.id] = missing
        replaced = _ref(ref.id, gap, len(gap.body), gap=True, first=ref.first)
        for name in ("count", "raw", "gaps", "start", "end", "digest", "size", "gap"):
            setattr(ref, name, getattr(replaced, name))
        self._journal.grow(lambda: self._spool.replace(ref.id, gap, ref.first), ref.id)

    def clear(self, lane: Lane) -> None:
        """Give up all that is queued of a job, and its open batch."""
        lane.gaps.clear()
        self._journal.forget_cursor(lane.id)
        self._journal.grow(lambda: self._spool.clear(lane.id))


def _ref(batch_id: int, batch: Batch, size: int, *, gap: bool = False, first: int | None = None) -> QueuedBatch:
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
