"""Whether the kernel ended a run for want of memory, which an engine may say after it said that the run ended.

The two words reach the engine on separate ways (a notification of the control group, the wait for the process), so
they come in either order, and once the group is removed the first may never come: on a machine under load, Docker
20.10 told 154 of 160 such ends in order, one 97 ms late, and of 4 nothing at all. `inspect` is no better: before 23.0
it knows only what was known at the end. So an end that looks like one of them, exit code 137 without anyone's signal,
is believed only after a moment in which the word may still come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ..batching.lifecycle import RunState

WAIT_S: Final = 1.0
"""How long the word is waited for: ten times the latest seen."""

_KILLED: Final = 128 + 9
"""The exit code of a process that SIGKILL ended."""


@dataclass(slots=True)
class _Doubt:
    """An end that is being waited with, or was."""

    run_state: RunState
    until: float
    open: bool = True


class OomDetector:
    """What the engine said of each container's newest run. Told in the order of the engine's events."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._killed: set[str] = set()
        self._doubts: dict[str, _Doubt] = {}

    def record_oom(self, container: str) -> None:
        """The kernel ended a process of it for want of memory."""
        self._said.add(container)

    def record_kill(self, container: str) -> None:
        """Someone had the engine send it a signal."""
        self._killed.add(container)

    def forget(self, container: str) -> None:
        """A new run begins, or it is done with."""
        self._said.discard(container)
        self._killed.discard(container)
        self._doubts.pop(container, None)

    def judge(self, container: str, run_state: RunState, now: float, *, news: bool) -> RunState | None:
        """The facts with what was said; None when they tell of an end that is to be judged again, `WAIT_S` later.

        now: seconds of a clock that is never set.
        news: whether the run was not known to be over; nothing more comes of an old end.
        """
        if run_state.running or not run_state.ended:
            return run_state
        run_state = self._with_word(container, run_state)
        sure = run_state.oom or run_state.exit_code != _KILLED or container in self._killed
        doubt = self._doubts.get(container)
        if doubt is None:
            if sure or not news:
                return run_state
            doubt = self._doubts[container] = _Doubt(run_state, now + WAIT_S)
        doubt.open = doubt.open and not sure and now < doubt.until
        return None if doubt.open else run_state

    def settle(self, container: str) -> RunState | None:
        """The end that is waited with, with what was said till now; None when there is none. It is judged by this."""
        doubt = self._doubts.get(container)
        if doubt is None or not doubt.open:
            return None
        doubt.open = False
        return self._with_word(container, doubt.run_state)

    def _with_word(self, container: str, run_state: RunState) -> RunState:
        return replace(run_state, oom=True) if container in self._said else run_state
