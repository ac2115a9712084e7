"""Decide where reading continues when a job's cursor cannot be decoded."""

from __future__ import annotations

from logferry_protocol.events import Gap

from .cursor import Cursor, decode_damaged
from .entry_sequencer import EntrySequencer
from .lifecycle import RunState, unrecorded_entries
from .ports import Position


def resume_from_damaged_cursor(position: Position, run_state: RunState, now: int) -> tuple[EntrySequencer, Gap]:
    """Return where to continue when the cursor cannot be decoded, and the gap that reports it.

    Nothing that the cloud or the spool has may come again, and nothing may be missing silently. So reading continues
    after the latest time that is known to have been read: the spool's, or what the cursor itself still shows (see
    `decode_damaged`). Lines of that moment may be missing, and so may lines to which a clock gave later times before it
    was set back. Where no time is known, reading continues with what comes from now on. Lifecycle events up to now
    count as recorded unless the cursor says otherwise: the job's state shows them anyway.

    Args:
        position: the position whose cursor cannot be decoded.
        run_state: the container's state now.
        now: nanoseconds since 1970.
    """
    found = decode_damaged(position.cursor or "")
    # What is skipped after a cursor is later than the cursor.
    known = max(0 if position.skip else found.after, (position.last or 0) * 1_000 + 999 if position.last else 0)
    life = found.life
    if life.kind == "n" and (entries := unrecorded_entries(life, run_state)):
        life = entries[-1].checkpoint
    where = "the latest line known" if known else "what is there now"
    gap = Gap(
        reason="corrupt",
        start=known // 1_000 or None,
        end=None if known else now // 1_000,
        detail=f"the cursor is damaged or of another version: reading continues after {where}",
    )
    return EntrySequencer(Cursor(life=life, after=known or now)), gap
