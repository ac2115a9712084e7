"""Entries that were encoded as a batch where they were read (see core/batching/preencode.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from logferry_protocol.batch import decode_body

from ..redaction.redaction import NOTHING_HIDDEN, Redaction
from .batcher import Batch, skip_cursor
from .cursor import with_state
from .ports import Chunk


@dataclass(frozen=True, slots=True)
class Sealed:
    """Consecutive entries of one job, all of them lines, in a closed batch; offered in a chunk's place.

    before: makes the cursor before the first of them.
    """

    batch: Batch
    before: Callable[[], str]
    redaction: Redaction = NOTHING_HIDDEN
    """What was hidden in its lines where they were read."""
    hidden: Mapping[str, int] = field(default_factory=dict)
    """How many secrets, by the name of what found them."""
    originals: Sequence[tuple[int, str]] = ()
    """The lines that redaction changed, as they were, each with its index; they are never written anywhere."""

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

    def opened(self, state: str = "") -> Chunk:
        """Return the lines in columns as they were read, to be processed one by one, or in part.

        Within it there are no cursors of the source, only "from before it, but leave out so many".

        Args:
            state: what processing has to know before its first line (see core/batching/processing.py).
        """
        columns = decode_body(self.batch.body)
        texts = list(columns.texts)
        for index, text in self.originals:
            texts[index] = text

        def cursor_at(count: int) -> str:
            return self.end if count == self.count else skip_cursor(with_state(self.before(), state), count)

        return Chunk(list(columns.times), columns.streams, texts, self.batch.raw, cursor_at)
