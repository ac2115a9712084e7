"""A job's batches as one run of sequences, from the log table and, where that does not hold them any more, the archive.

The table's time to live deletes expired batches some time within two days, in any order. So what has expired counts as
gone, whether or not it is still there, and every reader sees the same. The archive is asked only where the table has a
hole, or something expired; what neither has any more is left out.
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
    """The batches of jobs, wherever they are kept."""

    def __init__(self, table: Store, archive: ArchiveReader, now_ms: Callable[[], int]) -> None:
        self._table, self._archive, self._now_ms = table, archive, now_ms

    def after(self, job: str, sequence: int, tip: int) -> Iterator[Batch]:
        """Batches with entries after a sequence, ascending. `tip` is the job's last sequence."""
        reached = sequence
        while True:
            begun = reached
            for batch in self._table.batches_after(job, reached):
                fresh = self._is_fresh(batch)
                if not fresh or batch["first"] > reached + 1:
                    # Up to where the table goes on; or as far as the archive goes, and then the table from there: days
                    # of expired batches may lie in it, and reading over them all would cost more than what is wanted.
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
        """Batches with entries before a sequence, descending."""
        wanted = min(sequence, tip + 1)
        for batch in self._table.batches_before(job, sequence):
            if not self._is_fresh(batch):
                break  # what is before it is archived, as it is itself
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
        """What holds a sequence, or the next that is kept: a batch of the table, or a whole segment, yet unread."""
        batch = next(self._table.batches_after(job, sequence - 1), None)
        if batch is not None and not self._is_fresh(batch):
            batch = None
        if batch is None or batch["first"] > sequence:
            segment = self._archive.segment_at(job, sequence)
            if segment is not None and (batch is None or segment.first < batch["first"]):
                batches = partial(self._archive.batches_of, job, segment)
                return EntryRun(segment.first, segment.last, segment.end, batches)
        if batch is None:
            # Expired, and not archived any more: what comes next in the table, if anything does.
            batch = next(filter(self._is_fresh, self._table.batches_after(job, sequence - 1)), None)
        return None if batch is None else EntryRun(batch["first"], last_of(batch), batch["end"], lambda: [batch])


class EntryRun:
    """Consecutive entries, read when they are asked for."""

    def __init__(self, first: int, last: int, end: int, batches: Callable[[], Iterable[Batch]]) -> None:
        self.first, self.last, self.end, self._batches = first, last, end, batches

    def first_at(self, us: int) -> int:
        """The first sequence in it at a time or later; the one behind it when there is none."""
        for batch in self._batches():
            if batch["end"] >= us:
                for sequence, time, _character, _text in decode_body(batch["body"]).rows(batch["first"]):
                    if time >= us:
                        return sequence
        return self.last + 1
