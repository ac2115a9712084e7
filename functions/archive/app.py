"""Serves archive's events. It works until its time is nearly up, and then invokes itself to continue.

- `{"sweep": why}`, from the schedules: pass every listed job on, in small groups.
- `{"archive": [job], "why": why}`, from a sweep, or from ingest when a job has ended.
- `{"erase": job}`, from query.

An event that continues another one counts in `hops` how many came before it (ADR 12).
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

MAX_HOPS: Final = 120
"""How often a chain of invocations continues: for two hours at least, if each uses its time. Then the sweeps go on.

Lambda would end it after 16, and the template forbids that.
"""

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

    def continue_with(event: Mapping[str, Any], hops: int) -> bool:
        """Invoke this function with the rest of an event; return False if the chain is too long."""
        if hops >= MAX_HOPS:
            logger.error("a chain of invocations ends here, and the next sweep goes on", extra={"event": event})
            metrics.add_metric(name="ChainsEnded", unit=MetricUnit.Count, value=1)
            return False
        invoke_again({**event, "hops": hops + 1})
        return True

    def archive(jobs: list[str], why: Trigger, hops: int) -> None:
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
                continue_with({"archive": jobs[at:], "why": why}, hops)
                break
        if not failed:
            return
        metrics.add_metric(name="ArchiveFailed", unit=MetricUnit.Count, value=len(failed))
        # Lambda repeats the whole event of an invocation that fails. So jobs that failed beside others get an event of
        # their own: what the others started is not started again, and the on-failure bucket names these jobs alone.
        if failed == jobs or not continue_with({"archive": failed, "why": why}, hops):
            raise NotArchivedError(failed)

    def erase(job: str, hops: int) -> None:
        if not service.erase(job, deadline(BUDGET_S, clock)):
            continue_with({"erase": job}, hops)

    def handler(event: Mapping[str, Any], context: Any) -> None:
        hops = event.get("hops", 0)
        try:
            match event:
                case {"sweep": why} if why in get_args(Trigger):
                    sweep(why)
                case {"archive": list() as jobs, "why": why} if why in get_args(Trigger) and type(hops) is int:
                    archive(_checked(jobs), why, hops)
                case {"erase": str() as job} if type(hops) is int:
                    erase(_checked([job])[0], hops)
                case _:
                    raise UnknownEventError(str(event)[:200])
        finally:
            flush(metrics)

    return handler


def _checked(jobs: Iterable[Any]) -> list[str]:
    return [job for job in jobs if split_job_id(job)]
