"""Detect that the kernel killed a run because memory ran out. The engine may report this after the end of the run.

The engine learns of the two facts separately: from a notification of the control group, and from the wait for the
process. So they come in either order, and once the group is removed, the first may never come. On a machine under load,
Docker 20.10 reported 154 of 160 such ends in order, one 97 ms late, and 4 not at all. `inspect` is no better: before
23.0 it knows only what was known at the end. So an `exited` event is delayed when the end looks like one of them (exit
code 137 without a signal that someone sent), until the report would have come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ..batching.lifecycle import RunState

WAIT_S: Final = 1.0
"""How long to wait for the report: ten times the latest one that was seen (97 ms)."""

_KILLED: Final = 128 + 9
"""The exit code of a process that SIGKILL ended."""


@dataclass(slots=True)
class _DelayedEnd:
    """An end that is being delayed, or was."""

    run_state: RunState
    until: float
    """When the wait ends, in seconds of the caller's clock."""
    open: bool = True
    """Whether the end is still being delayed."""


class OomDetector:
    """Remembers what the engine reported of each newest run. Call its methods in the order of the engine's events."""

    def __init__(self) -> None:
        self._oom_reported: set[str] = set()
        self._killed: set[str] = set()
        self._delayed: dict[str, _DelayedEnd] = {}

    def record_oom(self, container: str) -> None:
        """Record that the kernel killed a process of the container because memory ran out."""
        self._oom_reported.add(container)

    def record_kill(self, container: str) -> None:
        """Record that someone sent a signal through the engine."""
        self._killed.add(container)

    def forget(self, container: str) -> None:
        """Forget the newest run, because another one begins or the container is gone."""
        self._oom_reported.discard(container)
        self._killed.discard(container)
        self._delayed.pop(container, None)

    def check_end(self, container: str, run_state: RunState, now: float, *, news: bool) -> RunState | None:
        """Decide in one place whether to delay an `exited` event.

        Args:
            container: the container's id.
            run_state: the container's newest run.
            now: seconds of a monotonic clock.
            news: whether the end is new. No report comes for an old end.

        Returns:
            The run with the report, if there was one; None when the caller should ask again after `WAIT_S`.
        """
        if run_state.running or not run_state.ended:
            return run_state
        run_state = self._with_report(container, run_state)
        sure = run_state.oom or run_state.exit_code != _KILLED or container in self._killed
        delayed = self._delayed.get(container)
        if delayed is None:
            if sure or not news:
                return run_state
            delayed = self._delayed[container] = _DelayedEnd(run_state, now + WAIT_S)
        delayed.open = delayed.open and not sure and now < delayed.until
        return None if delayed.open else run_state

    def end_delay(self, container: str) -> RunState | None:
        """Stop delaying an end, and return it with the report, if there was one. Return None when no end is delayed."""
        delayed = self._delayed.get(container)
        if delayed is None or not delayed.open:
            return None
        delayed.open = False
        return self._with_report(container, delayed.run_state)

    def _with_report(self, container: str, run_state: RunState) -> RunState:
        return replace(run_state, oom=True) if container in self._oom_reported else run_state
