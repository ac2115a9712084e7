"""Keep an error of the agent's own that one job meets from all other jobs.

What was read of the job and not closed yet is given up, and is read again after a while. The container's log is the
buffer, so nothing is lost. The waits grow while it fails again. The job's status and the agent's health report it.
Errors of the spool concern no single job, and pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from logferry_protocol.backoff import Backoff

from ..edge.metrics import Metrics
from ..edge.spool import SpoolError
from .job_buffers import JobBuffer, JobBuffers

log = structlog.get_logger(__name__)

RETRY: Final = Backoff(first_s=1.0, longest_s=60.0, factor=10.0)
"""Waits before a failed job is read again: 1 s, 10 s, then 60 s each. Without jitter: only this host retries."""
PROBLEM: Final = "its lines cannot be processed: the agent's own log says why; they are read again later"
_GIVEN_UP: Final = "these lines could not be processed, and the container is gone"


class JobIsolation:
    """Parks jobs that the agent fails to process, and takes them up again."""

    def __init__(self, buffers: JobBuffers, metrics: Metrics) -> None:
        """Start with no job parked.

        Args:
            buffers: the jobs.
            metrics: counts the failures.
        """
        self._buffers, self._metrics = buffers, metrics
        self._parked: dict[str, JobBuffer] = {}

    def guard(self, job_id: str, action: Callable[[], None], now: float) -> None:
        """Do something for a job, and park the job when that fails.

        Args:
            job_id: the job.
            action: what to do.
            now: the current moment.

        Raises:
            SpoolError: the spool is what failed.
        """
        try:
            action()
        except SpoolError:
            raise
        except Exception:
            log.exception("job_failed", job=job_id)
            if (buffer := self._buffers.by_id.get(job_id)) is not None:
                self._park(buffer, now)

    def guard_all(self, steps: Iterable[tuple[str, Callable[[], None]]], now: float) -> None:
        """Do each step for its job, as `guard` does, before the next one is asked for."""
        for job_id, action in steps:
            self.guard(job_id, action, now)

    def deadlines(self) -> list[float | None]:
        """Return when jobs have to be taken up again."""
        return [buffer.retry_at for buffer in self._parked.values()]

    def resume(self, now: float) -> None:
        """Read those jobs again that have waited long enough."""
        due = [buffer for buffer in self._parked.values() if buffer.retry_at is not None and buffer.retry_at <= now]
        for buffer in due:
            del self._parked[buffer.id]
            buffer.retry_at = None
            if buffer.id not in self._buffers.by_id:
                continue
            log.info("job_resumed", job=buffer.id, failures=buffer.failures)
            self._buffers.reread(buffer, buffer.cursor)

    def finish(self, buffer: JobBuffer, now: float) -> None:
        """Queue a gap for what was given up of a job, because its log is gone and cannot be read again."""
        if buffer.failures:
            self._buffers.append_gap(buffer, "corrupt", buffer.cursor, _GIVEN_UP, now)
            self._parked.pop(buffer.id, None)
            buffer.retry_at, buffer.failures = None, 0

    def _park(self, buffer: JobBuffer, now: float) -> None:
        buffer.failures += 1
        buffer.retry_at = now + RETRY.ceiling(buffer.failures)
        buffer.problem = PROBLEM
        self._metrics.refused("failed")
        # What readers still offer becomes void; they are told where to continue when the wait is over.
        self._buffers.give_up_open(buffer)
        self._parked[buffer.id] = buffer
        if buffer.ended:
            self.finish(buffer, now)
        self._buffers.update(buffer, now)
