"""Entries that became a batch where they were read (see core/press.py), and so pass through the pipeline as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from logferry_protocol.batch import decode_body

from .batcher import Batch, skip_cursor
from .chunk import Chunk


@dataclass(frozen=True, slots=True)
class Sealed:
    """Consecutive entries of one job, all of them lines, in a closed batch; offered in a chunk's place.

    before: makes the cursor before the first of them.
    """

    batch: Batch
    before: Callable[[], str]

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self.batch.body)

    @property
    def count(self) -> int:
        """How many entries it holds."""
        return self.batch.count

    @property
    def end(self) -> str:
        """The cursor after its last entry."""
        return self.batch.cursor

    def opened(self) -> Chunk:
        """The same in columns, for who wants a part of it, or looks into it.

        Within it there are no cursors of the source, only "from before it, but leave out so many".
        """
        columns = decode_body(self.batch.body)

        def cursor_at(count: int) -> str:
            return self.end if count == self.count else skip_cursor(self.before(), count)

        return Chunk(list(columns.times), columns.streams, list(columns.texts), self.batch.raw, cursor_at)
