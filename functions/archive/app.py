"""Serves archive's events. It works until its time is nearly up, and then invokes itself to continue.

- `{"sweep": why}`, from the schedules: pass every listed job on, in small groups.
- `{"archive": [job], "why": why}`, from a sweep, or from ingest when a job has ended.
- `{"erase": job}`, from query.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_args

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from logferry_protocol.job import split_job_id
from runtime.metrics import flush

from .core import Trigger
from .service import Service, deadline

BUDGET_S: Final = 60.0
"""How long one invocation starts new steps. The template gives it two minutes."""

GROUP_JOBS: Final = 25
"""Jobs of one invocation."""

InvokeAgain = Callable[[Mapping[str, Any]], None]


class UnknownEventError(Exception):
    """An event that no part of this stack sends."""


class NotArchivedError(Exception):
    """Some jobs failed. Lambda repeats the event, and keeps it in the on-failure bucket if it fails again."""

    def __init__(self, jobs: list[str]) -> None:
        super().__init__(jobs)
        self.jobs = jobs

    def __str__(self) -> str:
        return f"{len(self.jobs)} jobs failed: {', '.join(self.jobs)}"


def build_handler(
    service: Service,
    invoke_again: InvokeAgain,
    logger: Logger,
    metrics: Metrics,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Mapping[str, Any], Any], None]:
    """Return the Lambda handler.

    Args:
        service: does the work.
        invoke_again: invokes this function once more, with another event.
        logger: takes failures.
        metrics: counts work and failures.
        clock: seconds, for the time budget.
    """

    def sweep(why: Trigger) -> None:
        jobs = list(service.unarchived())
        metrics.add_metric(name="JobsUnarchived", unit=MetricUnit.Count, value=len(jobs))
        for at in range(0, len(jobs), GROUP_JOBS):
            invoke_again({"archive": jobs[at : at + GROUP_JOBS], "why": why})
        service.note_sweep(why, len(jobs))

    def archive(jobs: list[str], why: Trigger) -> None:
        out_of_time = deadline(BUDGET_S, clock)
        failed: list[str] = []
        for at, job in enumerate(jobs):
            try:
                done = service.archive(job, why, out_of_time)
            except Exception:
                logger.exception("a job could not be archived", extra={"job": job})
                failed.append(job)
                continue
            if not done:
                invoke_again({"archive": jobs[at:], "why": why})
                break
        if failed:
            metrics.add_metric(name="ArchiveFailed", unit=MetricUnit.Count, value=len(failed))
            raise NotArchivedError(failed)

    def erase(job: str) -> None:
        if not service.erase(job, deadline(BUDGET_S, clock)):
            invoke_again({"erase": job})

    def handler(event: Mapping[str, Any], context: Any) -> None:
        try:
            match event:
                case {"sweep": why} if why in get_args(Trigger):
                    sweep(why)
                case {"archive": list() as jobs, "why": why} if why in get_args(Trigger):
                    archive(_checked(jobs), why)
                case {"erase": str() as job}:
                    erase(*_checked([job]))
                case _:
                    raise UnknownEventError(str(event)[:200])
        finally:
            flush(metrics)

    return handler


def _checked(jobs: Iterable[Any]) -> list[str]:
    return [job for job in jobs if split_job_id(job)]
