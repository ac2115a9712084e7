"""Takes archive's events apart and works until its time is nearly up; then it asks itself to go on."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from logferry_protocol.job import split_job_id
from registry.telemetry import flush

from .store import Store

BUDGET_S: Final = 40.0
"""How long one invocation works; the template gives it a minute."""

Again = Callable[[str], None]


def build_handler(
    store: Store,
    again: Again,
    logger: Logger,
    metrics: Metrics,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Mapping[str, Any], Any], None]:
    """The Lambda handler for `{"erase": job}`. `again` asks for one more invocation."""

    def erase(job: str) -> None:
        split_job_id(job)
        if not store.is_deleted(job):
            logger.error("asked to erase a job that is not deleted", extra={"job": job})
            return None
        deadline = clock() + BUDGET_S
        while batches := store.batches(job):
            store.delete_batches(job, [batch["first"] for batch in batches])
            gone = {"batches": len(batches), "entries": sum(batch["count"] for batch in batches)}
            store.note_erased(job, {**gone, "bytes": sum(batch["raw"] for batch in batches)}, None)
            metrics.add_metric(name="BatchesErased", unit=MetricUnit.Count, value=len(batches))
            if clock() >= deadline:
                return again(job)
        store.note_erased(job, {"batches": 0}, time.time_ns() // 1_000_000)
        return None

    def handler(event: Mapping[str, Any], context: Any) -> None:
        try:
            erase(event["erase"])
        finally:
            flush(metrics)

    return handler
