"""The source of a container whose log cannot be read: it says so, once, and its life is told all the same."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from logferry_protocol.events import Notice
from logferry_protocol.job import SourceName

from ..core.chunk import Chunk
from ..core.cursor import Place
from ..core.track import Track

UNREADABLE: Final = Place(0, 0, "none")
"""Where a job is whose log cannot be read, so that this is said once."""


def say_unreadable(track: Track, why: str) -> list[Chunk]:
    """The notice; nothing when the job has it already."""
    if track.place == UNREADABLE:
        return []
    track.move(UNREADABLE)
    return track.tell(Notice(code="unreadable", detail=why[:500]), time.time_ns() // 1_000)


class UnreadableSource:
    """Gives nothing but the notice."""

    name: SourceName = "none"

    def __init__(self, track: Track, why: str) -> None:
        self.track = track
        self.gone = False
        self._why = why
        self._chunks: deque[Chunk] = deque()

    @property
    def unread(self) -> int:
        """Nothing can be read."""
        return 0

    @property
    def ended(self) -> bool:
        """True when the container is gone."""
        return self.gone and not self._chunks

    def runs(self, running: bool) -> None:
        """It makes no difference."""

    def read(self, limit_bytes: int) -> Chunk | None:
        """The notice, the first time."""
        self._chunks.extend(say_unreadable(self.track, self._why))
        return self._chunks.popleft() if self._chunks else None

    def at_end(self) -> Chunk | None:
        """What is due of its life, one chunk after the other."""
        if not self._chunks:
            self._chunks.extend(self.track.at_end())
        return self._chunks.popleft() if self._chunks else None

    def close(self) -> None:
        """There is nothing to give back."""
