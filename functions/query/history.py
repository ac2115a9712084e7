"""Reads a job's batches as one run of sequences, from the log table and the archive.

The table's time to live deletes expired batches at some time within two days, in any order. So an expired batch counts
as deleted, whether or not it is still there, and every reader sees the same. The archive is read only where the table
has a hole or an expired batch. What neither of them has is left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from typing import Any

from logferry_protocol.batch import decode_body

from .archive_reader import ArchiveReader
from .core import last_of
from .store import Store

Batch = Mapping[str, Any]


class History:
    """Yields the batches of jobs, wherever they are kept."""

    def __init__(self, table: Store, archive: ArchiveReader, now_ms: Callable[[], int]) -> None:
        self._table, self._archive, self._now_ms = table, archive, now_ms

    def after(self, job: str, sequence: int, tip: int) -> Iterator[Batch]:
        """Yield the batches with entries after a sequence, ascending. `tip` is the job's last sequence."""
        reached = sequence
        while True:
            begun = reached
            for batch in self._table.batches_after(job, reached):
                fresh = self._is_fresh(batch)
                if not fresh or batch["first"] > reached + 1:
                    # Read up to where the table continues. From an expired batch, read as far as the archive goes, and
                    # then the table from there: it may hold days of expired batches, and reading them would cost more
                    # than the request.
                    for old in self._archived(job, reached, batch["first"] if fresh else tip + 1):
                        yield old
                        reached = last_of(old)
                if fresh:
                    yield batch
                    reached = last_of(batch)
                elif reached > begun:
                    break
            else:
                if reached < tip:
                    yield from self._archived(job, reached, tip + 1)
                return

    def before(self, job: str, sequence: int, tip: int) -> Iterator[Batch]:
        """Yield the batches with entries before a sequence, descending."""
        wanted = min(sequence, tip + 1)
        for batch in self._table.batches_before(job, sequence):
            if not self._is_fresh(batch):
                break  # this batch and all before it are archived
            if last_of(batch) < wanted - 1:
                yield from self._archived_before(job, wanted, last_of(batch))
            yield batch
            wanted = batch["first"]
        if wanted > 1:
            yield from self._archived_before(job, wanted, 0)

    def _archived(self, job: str, after: int, until: int) -> Iterator[Batch]:
        return takewhile(lambda batch: batch["first"] < until, self._archive.batches_after(job, after))

    def _archived_before(self, job: str, sequence: int, after: int) -> Iterator[Batch]:
        return takewhile(lambda batch: batch["first"] > after, self._archive.batches_before(job, sequence))

    def _is_fresh(self, batch: Batch) -> bool:
        now_s = self._now_ms() / 1000
        return bool(batch.get("expires", now_s + 1) > now_s)

    # --- times

    def run_at(self, job: str, sequence: int) -> "EntryRun | None":
        """Return what holds a sequence, or the next kept one: a batch of the table, or a segment not read yet."""
        batch = next(self._table.batches_after(job, sequence - 1), None)
        if batch is not None and not self._is_fresh(batch):
            batch = None
        if batch is None or batch["first"] > sequence:
            segment = self._archive.segment_at(job, sequence)
            if segment is not None and (batch is None or segment.first < batch["first"]):
                batches = partial(self._archive.batches_of, job, segment)
                return EntryRun(segment.first, segment.last, segment.end, batches)
        if batch is None:
            # Expired, and not archived any more: take the next batch in the table, if there is one.
            batch = next(filter(self._is_fresh, self._table.batches_after(job, sequence - 1)), None)
        return None if batch is None else EntryRun(batch["first"], last_of(batch), batch["end"], lambda: [batch])


class EntryRun:
    """Consecutive entries. They are read on demand."""

    def __init__(self, first: int, last: int, end: int, batches: Callable[[], Iterable[Batch]]) -> None:
        self.first, self.last, self.end, self._batches = first, last, end, batches

    def first_at(self, us: int) -> int:
        """Return the first sequence in it at a time or later, or the one after it if there is none."""
        for batch in self._batches():
            if batch["end"] >= us:
                for sequence, time, _character, _text in decode_body(batch["body"]).rows(batch["first"]):
                    if time >= us:
                        return sequence
        return self.last + 1
