"""The sources of containers whose logs are not read. Each says so in the job, once.

For a log that cannot be read, the container's lifecycle is reported all the same. For a container that the settings
exclude nothing is reported, though the job's state follows it to its end.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from logferry_protocol.events import Notice
from logferry_protocol.job import SourceName

from ..core.batching.cursor import LEFT_OUT, FilePosition
from ..core.batching.entries import Chunk
from ..core.batching.entry_sequencer import EntrySequencer

UNREADABLE: Final = FilePosition(0, 0, "none")
"""The position of a job whose log cannot be read, so that this is reported once."""


def report_unreadable(sequencer: EntrySequencer, why: str) -> list[Chunk]:
    """Return the notice that the log cannot be read; nothing when the job has it already."""
    if sequencer.file_position == UNREADABLE:
        return []
    sequencer.move_to(UNREADABLE)
    return sequencer.add_event(Notice(code="unreadable", detail=why[:500]), time.time_ns() // 1_000)


class UnreadableSource:
    """Gives the notice that the log cannot be read, and lifecycle events."""

    name: SourceName = "none"

    def __init__(self, sequencer: EntrySequencer, why: str) -> None:
        self.sequencer = sequencer
        self.gone = False
        self._why = why
        self._chunks: deque[Chunk] = deque()

    @property
    def unread(self) -> int:
        """Always 0: nothing can be read."""
        return 0

    @property
    def ended(self) -> bool:
        """Whether the container is gone."""
        return self.gone and not self._chunks

    def set_running(self, running: bool) -> None:
        """Do nothing: it makes no difference."""

    def read(self, limit_bytes: int) -> Chunk | None:
        """Return the notice, the first time."""
        self._chunks.extend(report_unreadable(self.sequencer, self._why))
        return self._chunks.popleft() if self._chunks else None

    def at_end(self) -> Chunk | None:
        """Return the next lifecycle entry that is due; None when none is."""
        if not self._chunks:
            self._chunks.extend(self.sequencer.take_due())
        return self._chunks.popleft() if self._chunks else None

    def close(self) -> None:
        """Do nothing: nothing is open."""


class ExcludedSource:
    """Gives a notice that the container is no longer read, then nothing."""

    name: SourceName = "none"
    unread = 0

    def __init__(self, sequencer: EntrySequencer, why: str) -> None:
        """Keep the place of `sequencer`, so that reading can go on from there.

        Args:
            sequencer: where reading had come to.
            why: the reason, in words that follow "because".
        """
        self.sequencer = sequencer
        self.gone = False
        self._why = why
        self._chunks: deque[Chunk] = deque()

    @property
    def ended(self) -> bool:
        """Whether the container is gone."""
        return self.gone and not self._chunks

    def set_running(self, running: bool) -> None:
        """Do nothing: it makes no difference."""

    def read(self, limit_bytes: int) -> Chunk | None:
        """Return the notice, unless the job has it."""
        if LEFT_OUT not in self.sequencer.notices:
            self.sequencer.notices += LEFT_OUT
            detail = f"the log is not read from here on, because {self._why}"[:500]
            self._chunks.extend(
                self.sequencer.add_event(Notice(code="left_out", detail=detail), time.time_ns() // 1_000)
            )
        return self._chunks.popleft() if self._chunks else None

    def at_end(self) -> Chunk | None:
        """Return nothing: the notice is the job's last entry."""
        return None

    def close(self) -> None:
        """Do nothing: nothing is open."""
