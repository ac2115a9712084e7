"""Turn starts and ends of a container into system entries, once each, whether they were seen live or found out later.

Theory of operation
-------------------
There are two sources: the engine's events, which may be missed, and `inspect`, which knows only the newest run and the
end of the run before. Both become a `RunState`, which is compared with the last recorded event (`LifecycleCheckpoint`
in the cursor). The start time identifies a run. `inspect` gives it exactly, and the time of a start event is a little
later. So a run that started at most 5 s before the recorded time is the recorded run. A run that started earlier than
that is a new run, started after the clock was set back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from logferry_protocol.events import Exited, Restarted, Started, SystemEvent
from logferry_protocol.limits import MAX_RESTARTS

from .cursor import LifecycleCheckpoint

_CLOCK_SLACK_NS = 5_000_000_000
"""The largest difference between a recorded start time and an earlier start time of the same run."""
_EARLY_NS = 10_000_000_000
"""Lines stamped up to this long before a run's start belong to it, unless the run before ended in that time."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A container's newest run, as known now. Times are nanoseconds since 1970, 0 where there is none."""

    running: bool = False
    started: int = 0
    ended: int = 0
    """When the newest run ended, or the run before it while the newest one is running."""
    exit_code: int | None = None
    oom: bool = False
    restarts: int = 0
    """The engine's own count of restarts by policy."""
    gone: bool = False
    """The container was removed."""


@dataclass(frozen=True, slots=True)
class LifecycleEntry:
    """One lifecycle entry to record."""

    time: int
    """Nanoseconds since 1970."""
    event: SystemEvent
    checkpoint: LifecycleCheckpoint
    """The checkpoint after the entry."""
    boundary: int | None = None
    """Lines from this time on (nanoseconds since 1970) come after the entry. None: the entry belongs at the end of the
    log."""


def unrecorded_entries(checkpoint: LifecycleCheckpoint, run_state: RunState) -> list[LifecycleEntry]:
    """Return the entries for everything in `run_state` that is not recorded yet, in order.

    Args:
        checkpoint: the last recorded event.
        run_state: the container's newest run.
    """
    found: list[LifecycleEntry] = []
    if run_state.started and not _is_recorded(run_state.started, checkpoint.started):
        if checkpoint.kind == "s":
            # The recorded run ended unseen. When a newer run is running, only the time of that end may be known.
            ended = (
                run_state.ended if run_state.running and run_state.ended >= checkpoint.started else run_state.started
            )
            checkpoint = LifecycleCheckpoint("x", checkpoint.started, ended, checkpoint.restarts)
            found.append(LifecycleEntry(ended, Exited(), checkpoint))
        restarts = (
            run_state.restarts
            if checkpoint.kind == "n"
            else min(max(checkpoint.restarts + 1, run_state.restarts), MAX_RESTARTS)
        )
        checkpoint = LifecycleCheckpoint("s", run_state.started, 0, restarts)
        event: SystemEvent = Restarted(restarts=restarts) if restarts else Started()
        found.append(LifecycleEntry(run_state.started, event, checkpoint, _boundary(run_state)))
    if checkpoint.kind == "s" and not run_state.running and (run_state.ended or run_state.gone):
        ended = max(run_state.ended, checkpoint.started)
        checkpoint = replace(checkpoint, kind="x", ended=ended)
        exited = Exited(exit_code=run_state.exit_code, oom=run_state.oom, removed=run_state.gone)
        found.append(LifecycleEntry(ended, exited, checkpoint))
    return found


def _boundary(run_state: RunState) -> int:
    """Return the time from which on a line belongs to the newest run, in nanoseconds since 1970.

    A process may write before the engine notes the time of its start. The output of the run before may get timestamps
    after its end. So the boundary lies between the two times, near the start.
    """
    if not run_state.ended or run_state.ended >= run_state.started:
        return run_state.started - _EARLY_NS
    return run_state.started - min(_EARLY_NS, (run_state.started - run_state.ended) // 2)


def _is_recorded(started: int, recorded: int) -> bool:
    return recorded - _CLOCK_SLACK_NS <= started <= recorded
