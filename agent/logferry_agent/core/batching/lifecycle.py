"""What happened to a container becomes system entries, once each, whether it was seen live or found out later.

Theory of operation. There are two tellers: the engine's events, which may be missed, and `inspect`, which knows only
the newest run and the end of the one before. Both are turned into *facts* and compared with the mark of what was
recorded last, which travels in the cursor. A run is known by the time it started: `inspect` gives it exactly; an
event's own time is a little later, so a run that started at or before the recorded time is the recorded one, unless
the clock was set back by more than a second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from logferry_protocol.events import Exited, Restarted, Started, SystemEvent
from logferry_protocol.limits import MAX_RESTARTS

from .cursor import LifecycleCheckpoint

_CLOCK_SLACK_NS = 5_000_000_000
_EARLY_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class RunState:
    """A container's newest run, as known now. Times in nanoseconds since 1970, 0 where there is none.

    `ended` is of the newest run when it is over, of the run before while it runs.
    """

    running: bool = False
    started: int = 0
    ended: int = 0
    exit_code: int | None = None
    oom: bool = False
    restarts: int = 0
    """The engine's own count of restarts by policy."""
    gone: bool = False
    """The container was removed."""


@dataclass(frozen=True, slots=True)
class LifecycleEntry:
    """One life-cycle entry to be recorded: its time (nanoseconds), its event, and the mark after it.

    boundary: lines from this time on (nanoseconds) come after it; None when only the end of the log says where it
    belongs.
    """

    time: int
    event: SystemEvent
    mark: LifecycleCheckpoint
    boundary: int | None = None


def unrecorded_entries(mark: LifecycleCheckpoint, run_state: RunState) -> list[LifecycleEntry]:
    """What the facts say that was not recorded yet, in order."""
    found: list[LifecycleEntry] = []
    if run_state.started and not _is_recorded(run_state.started, mark.started):
        if mark.kind == "s":
            # The run that was recorded ended unseen. With a newer run only its time may be known, not its code.
            ended = run_state.ended if run_state.running and run_state.ended >= mark.started else run_state.started
            mark = LifecycleCheckpoint("x", mark.started, ended, mark.restarts)
            found.append(LifecycleEntry(ended, Exited(), mark))
        restarts = (
            run_state.restarts if mark.kind == "n" else min(max(mark.restarts + 1, run_state.restarts), MAX_RESTARTS)
        )
        mark = LifecycleCheckpoint("s", run_state.started, 0, restarts)
        event: SystemEvent = Restarted(restarts=restarts) if restarts else Started()
        found.append(LifecycleEntry(run_state.started, event, mark, _boundary(run_state)))
    if mark.kind == "s" and not run_state.running and (run_state.ended or run_state.gone):
        ended = max(run_state.ended, mark.started)
        mark = replace(mark, kind="x", ended=ended)
        found.append(
            LifecycleEntry(
                ended, Exited(exit_code=run_state.exit_code, oom=run_state.oom, removed=run_state.gone), mark
            )
        )
    return found


def _boundary(run_state: RunState) -> int:
    """From when on a line belongs to the newest run.

    A process may have written before the engine noted the time of its start; and what the run before left in the pipe
    may have been stamped after its end. So the line is drawn between the two, near the start.
    """
    if not run_state.ended or run_state.ended >= run_state.started:
        return run_state.started - _EARLY_NS
    return run_state.started - min(_EARLY_NS, (run_state.started - run_state.ended) // 2)


def _is_recorded(started: int, recorded: int) -> bool:
    return recorded - _CLOCK_SLACK_NS <= started <= recorded
