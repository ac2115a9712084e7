"""Archives and erases jobs, between core's decisions and the store's reads and writes."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from registry import items
from registry.archive_index import encode_segment

from . import core
from .core import Batch, Plan, State, Trigger
from .store import Store

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAY_S: Final = 86_400
COMPRESSION_LEVEL: Final = 6
"""Rows are written once and scanned often, and Athena charges by the byte."""


class Service:
    """Serves the requests of one process. What does not fit into an invocation's time is left for the next."""

    def __init__(
        self, store: Store, retention_days: int, logger: Logger, metrics: Metrics, now_ms: Callable[[], int]
    ) -> None:
        self._store, self._retention_days = store, retention_days
        self._logger, self._metrics, self._now_ms = logger, metrics, now_ms

    def unarchived(self) -> Iterator[str]:
        """Yield every job that may have something to archive or to erase."""
        for shard in range(items.SHARDS):
            yield from self._store.unarchived(shard)

    def note_sweep(self, why: Trigger, jobs: int) -> None:
        """Record that a sweep passed on this many jobs. `logferry doctor` reads it."""
        self._store.note_sweep(self._now_ms(), why, jobs)

    # --- archiving

    def archive(self, job: str, why: Trigger, out_of_time: Callable[[], bool]) -> bool:
        """Archive what is due of a job; return False if the time was up first.

        At least one step is carried out, so that every invocation gets further than the one before.
        """
        record = self._store.record(job)
        if record is None:
            self._logger.error("the job to archive does not exist", extra={"job": job})
            return True
        while True:
            state = self._store.state(job)
            if record.get("deleted") or state.deleted:
                return self.erase(job, out_of_time)
            backlog = self._store.backlog(job, state.tip)
            if backlog is None and state.plan is None:
                if core.is_finished(state, backlog, self._now_ms()):
                    self._store.remove_from_unarchived(job, state)
                return True
            if backlog is not None and not core.is_due(why, state, backlog, self._now_ms()):
                return True
            self._step(job, record, state)
            if out_of_time():
                return False
            why = "daily"  # a started job is archived to its end

    def _step(self, job: str, record: Mapping[str, Any], state: State) -> None:
        if state.plan is None:
            batches = core.take_run(self._store.batches_after(job, state.tip))
            if not batches:
                return
            plan = core.plan_run(batches)
            batches = core.batches_up_to(batches, plan.last)
            if not self._store.save_plan(job, state, plan):
                return  # another invocation was first; the next iteration sees its result
            if plan.first != state.tip + 1:
                self._report_loss(job, state.tip + 1, plan.first - 1)
        else:
            plan = state.plan
            batches = core.batches_up_to(self._store.batches_after(job, plan.first - 1), plan.last)
            if not core.covers_plan(plan, batches):
                # The time to live deleted a part before it was archived. The rest gets another plan.
                if self._store.discard_plan(job, plan):
                    self._store.delete_objects(plan.keys(job, record["owner"]))
                return
        self._carry_out(job, record, plan, batches)

    def _carry_out(self, job: str, record: Mapping[str, Any], plan: Plan, batches: list[Batch]) -> None:
        now = self._now_ms()
        expires = now // 1000 + self._retention_days * DAY_S if self._retention_days else 0
        segments = core.build_segments(plan, batches, expires)
        size = 0
        for segment, inside in segments:
            content = encode_segment(inside)
            self._store.put_object(segment.key(job), content)
            size += len(content)
        for key, content in self._rows(job, record, plan, batches):
            self._store.put_object(key, content)
            size += len(content)
        if self._store.commit(job, plan, [segment for segment, _inside in segments], batches[-1], now):
            self._metrics.add_metric(name="EntriesArchived", unit=MetricUnit.Count, value=plan.last - plan.first + 1)
            self._metrics.add_metric(name="BytesArchived", unit=MetricUnit.Bytes, value=size)
        elif not self._store.is_archived(job, plan):
            # The job was deleted, or another plan took this one's place: nothing will ever refer to these objects.
            self._store.delete_objects(plan.keys(job, record["owner"]))

    @staticmethod
    def _rows(job: str, record: Mapping[str, Any], plan: Plan, batches: list[Batch]) -> Iterator[tuple[str, bytes]]:
        compressors = {day: zstd.ZstdCompressor(level=COMPRESSION_LEVEL) for day in plan.days}
        parts: dict[str, list[bytes]] = {day: [] for day in plan.days}
        for batch in batches:
            for day, lines in core.rows(job, record.get("container") or {}, batch):
                parts[day].append(compressors[day].compress(lines.encode()))
        for key, day in zip(plan.rows_keys(job, record["owner"]), plan.days, strict=True):
            yield key, b"".join([*parts[day], compressors[day].flush()])

    def _report_loss(self, job: str, first: int, last: int) -> None:
        self._logger.error(
            "entries expired before they were archived", extra={"job": job, "first": first, "last": last}
        )
        self._metrics.add_metric(name="EntriesLost", unit=MetricUnit.Count, value=last - first + 1)

    # --- erasing

    def erase(self, job: str, out_of_time: Callable[[], bool]) -> bool:
        """Erase a deleted job's stored data; return False if the time was up first."""
        record = self._store.record(job)
        if record is None or not record.get("deleted"):
            self._logger.error("the job to erase is not deleted", extra={"job": job})
            return True
        # Steps under way end here: none of them can commit, and each deletes its own objects.
        self._store.block_steps(job, self._now_ms())
        # The deletion puts it, unless it was cut short. Without it, a process that knows the tip would keep storing.
        known = max(int(record.get("tip") or 0), self._store.state(job).tip)
        self._store.put_tombstone(job, known, self._now_ms())
        while batches := self._store.batches(job):
            self._store.delete_batches(job, [batch["first"] for batch in batches])
            gone = {"batches": len(batches), "entries": sum(batch["count"] for batch in batches)}
            self._store.note_erased(job, {**gone, "bytes": sum(batch["raw"] for batch in batches)}, None)
            self._metrics.add_metric(name="BatchesErased", unit=MetricUnit.Count, value=len(batches))
            if out_of_time():
                return False
        return self._erase_archive(job, record["owner"], out_of_time)

    def _erase_archive(self, job: str, owner: str, out_of_time: Callable[[], bool]) -> bool:
        if plan := self._store.state(job).plan:
            self._store.delete_objects(plan.keys(job, owner))
        while segments := self._store.some_segments(job):
            keys = [segment.key(job) for segment in segments]
            keys += dict.fromkeys(key for segment in segments for key in segment.rows(job, owner))
            self._store.delete_objects(keys)
            self._store.delete_segments(job, segments)
            self._store.note_erased(job, {"objects": len(keys)}, None)
            self._metrics.add_metric(name="ObjectsErased", unit=MetricUnit.Count, value=len(keys))
            if out_of_time():
                return False
        now = self._now_ms()
        self._store.note_erased(job, {"batches": 0}, now)
        self._store.finish_erasure(job, now)
        return True


def deadline(seconds: float, clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """Return a function that says whether this many seconds have passed since this call."""
    until = clock() + seconds
    return lambda: clock() >= until
