"""The last entries of a job whose container was removed while no agent watched."""

from __future__ import annotations

from logferry_protocol.events import Gap

from ..batching.cursor import LEFT_OUT, Cursor, UnknownCursorError, decode, decode_damaged
from ..batching.entries import Chunk
from ..batching.entry_sequencer import EntrySequencer
from ..batching.lifecycle import RunState


def last_chunks(cursor_text: str | None, now: int) -> list[Chunk]:
    """Return a gap, and the end of the last run when that is not recorded. A job that was left out gets neither.

    Args:
        cursor_text: the cursor that the job was read to; None when nothing was read.
        now: nanoseconds since 1970.
    """
    try:
        cursor = decode(cursor_text) if cursor_text else Cursor()
    except UnknownCursorError:
        cursor = decode_damaged(cursor_text or "")
    if LEFT_OUT in cursor.notices:
        return []
    sequencer = EntrySequencer(cursor)
    gap = Gap(reason="removed", detail="the container was removed while the agent was away")
    chunks = [] if cursor.life.kind == "x" else sequencer.add_event(gap, now // 1_000)
    if cursor.life.kind == "s":
        sequencer.learn(RunState(started=cursor.life.started, ended=now, gone=True))
        chunks += sequencer.take_due()
    return chunks
