"""Does what agents' messages ask for, between core's decisions and the store's reads and writes."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from logferry_protocol.errors import BatchError
from logferry_protocol.event_sentences import GapReason
from logferry_protocol.job import job_id
from logferry_protocol.limits import MAX_DURATION_MS
from logferry_protocol.messages import (
    Batch,
    Ingest,
    Ingested,
    Noted,
    Open,
    Opened,
    OpenedJob,
    OpenJob,
    Ping,
    Pong,
    Result,
    Status,
    StatusJob,
    Watched,
    short_sentence,
)
from registry.principal import Principal

from . import core
from .request_parser import MalformedPart
from .store import BatchExistsError, Store, ThrottledError

LINK_LIFE_S: Final = 2 * 3600 + 600
"""How long a connection counts as an instance's: API Gateway's two hours and a margin."""

_REMEMBERED: Final = 20_000


class TipCache:
    """The tips of jobs that this process stored recently. A tip may be behind, but was once true."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._tips: OrderedDict[str, int] = OrderedDict()
        self._size = size

    def get(self, job: str) -> core.KnownTip | None:
        """Return the cached tip of a job."""
        tip = self._tips.get(job)
        return None if tip is None else core.KnownTip(tip, fresh=False)

    def put(self, job: str, tip: int) -> None:
        """Cache a tip. Tips only grow."""
        self._tips[job] = max(tip, self._tips.pop(job, 0))
        while len(self._tips) > self._size:
            self._tips.popitem(last=False)

    def forget(self, job: str) -> None:
        """Forget the tip of a job."""
        self._tips.pop(job, None)


class Service:
    """Serves the requests of one process."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        logger: Logger,
        metrics: Metrics,
        now_ms: Callable[[], int],
        *,
        notify_ended: Callable[[list[str]], None],
    ) -> None:
        """`notify_ended` gets the jobs whose containers have ended. It may fail."""
        self._store, self._executor, self._notify_ended = store, executor, notify_ended
        self._logger, self._metrics, self._now_ms = logger, metrics, now_ms
        self._tips = TipCache()
        self._instances: OrderedDict[str, str] = OrderedDict()

    # --- open

    def open(
        self, principal: Principal, connection: str, message: Open, malformed: Sequence[MalformedPart] = ()
    ) -> Opened:
        """Record the jobs and the instance's connection. Answer with each job's tip and cursor, or its error."""
        self._report_malformed("JobsMalformed", malformed)
        now = self._now_ms()
        # The write comes before `watched` is read. A viewer who subscribes later finds this connection and tells it;
        # one who subscribed before is found by the read below. Either way the agent is told.
        self._store.link_instance(principal.name, message.instance, connection, now // 1000 + LINK_LIFE_S, now)
        self._instances[connection] = message.instance
        while len(self._instances) > _REMEMBERED:
            self._instances.popitem(last=False)
        jobs = list(self._executor.map(lambda job: self._open_job(principal, message.instance, job), message.jobs))
        self._count_failures(sum(job.error == "internal" for job in jobs))
        refused = [
            OpenedJob(job=part.job, error="malformed", message=short_sentence(part.detail)) for part in malformed
        ]
        return Opened(id=message.id, jobs=[*jobs, *refused])

    def _open_job(self, principal: Principal, instance: str, requested: OpenJob) -> OpenedJob:
        job, now = job_id(principal.name, requested.job), self._now_ms()
        try:
            record = self._store.open_job(
                job,
                owner=principal.owner_of(requested.container.owner),
                principal=principal.name,
                instance=instance,
                container=requested.container.model_dump(exclude_none=True),
                life=requested.life.model_dump(exclude_none=True),
                now_ms=now,
            )
            if record.get("deleted"):
                return OpenedJob(job=requested.job, error="not_found", message="the job was deleted")
            # This comes before the first batch can be stored: a sweep does not unlist a job that was opened recently.
            archive = self._store.list_unarchived(job, now)
            last = self._store.last_batch(job)
            watch = self._store.watch(job)
        except Exception:
            self._logger.exception("a job could not be opened", extra={"job": job})
            return OpenedJob(
                job=requested.job, error="internal", message="the request failed on the server", retry=True
            )
        tip = core.tip_of(record, last, archive)
        self._tips.forget(job)
        self._tips.put(job, tip)
        end = core.tip_source(record, last, archive)
        left = int(watch["until"]) - now if watch else 0
        return OpenedJob(
            job=requested.job,
            tip=tip,
            digest=end.get("digest"),
            first=end.get("first"),
            cursor=end.get("cursor"),
            watched=_watched(left, int(watch.get("interval") or 0)) if watch and left > 0 else None,
        )

    # --- ingest

    def ingest(self, principal: Principal, message: Ingest, malformed: Sequence[MalformedPart] = ()) -> Ingested:
        """Store the batches, several at a time. Answer what happened to each, the malformed ones included."""
        self._report_malformed("BatchesRejected", malformed)
        refused = [core.malformed_result(part) for part in malformed]
        if self._over_quota(principal, sum(len(batch.body) for batch in message.batches)):
            sentence = f"the day's quota of {principal.daily_bytes} bytes is used up"
            results = [core.rejected_result(batch, "quota", sentence) for batch in message.batches]
            self._count(message.batches, results)
            return Ingested(id=message.id, results=[*results, *refused])
        outcomes = list(self._executor.map(lambda batch: self._store_batch(principal, batch), message.batches))
        results = [result for result, _ in outcomes]
        self._count(message.batches, results)
        self._count_gaps(sum((gaps for result, gaps in outcomes if result.outcome == "stored"), Counter()))
        throttled = any(result.reason == "throttled" for result in results)
        slow_down = core.SLOW_DOWN_MS if throttled else None
        return Ingested(id=message.id, results=[*results, *refused], slow_down=slow_down)

    def _over_quota(self, principal: Principal, size: int) -> bool:
        # Usage is counted before storing, and only for principals with a quota. A batch that is sent again counts
        # again.
        if not principal.daily_bytes:
            return False
        now_s = self._now_ms() // 1000
        day = time.strftime("%Y-%m-%d", time.gmtime(now_s))
        return self._store.add_usage(principal.name, day, size, now_s + 7 * 86_400) > principal.daily_bytes

    def _store_batch(self, principal: Principal, batch: Batch) -> tuple[Result, Counter[GapReason]]:
        """Store a batch. Return its result and its gaps by reason."""
        job = job_id(principal.name, batch.job)
        try:
            gaps = core.check_batch(batch, self._now_ms())
            return self._put_or_compare(job, batch), gaps
        except BatchError as error:
            return core.rejected_result(batch, error.code, error.detail), Counter()  # type: ignore[arg-type]
        except ThrottledError:
            return core.rejected_result(batch, "throttled", "the table is throttled"), Counter()
        except Exception:
            self._logger.exception("a batch could not be stored", extra={"job": job})
            return core.rejected_result(batch, "internal", "the request failed on the server"), Counter()

    def _put_or_compare(self, job: str, batch: Batch) -> Result:
        position = self._tips.get(job)
        step = core.next_step(batch.first, position)
        if step == "read":
            record, last = self._store.job(job), self._store.last_batch(job)
            if record is None:
                return core.rejected_result(batch, "out_of_sequence", "the job was never opened", 0)
            if record.get("deleted"):
                return core.rejected_result(batch, "deleted", "the job was deleted")
            position = core.KnownTip(core.tip_of(record, last, self._store.archive(job)), fresh=True)
            self._tips.put(job, position.tip)
            step = core.next_step(batch.first, position)
        tip = position.tip if position else 0
        if step == "put":
            try:
                self._store.put_batch(job, batch, self._now_ms())
            except BatchExistsError as error:
                self._tips.forget(job)
                return core.compared_result(batch, error.existing, _end_of(error.existing) or tip)
            self._tips.put(job, batch.last)
            return core.stored_result(batch)
        if step == "compare":
            return core.compared_result(batch, self._store.batch_at(job, batch.first), tip)
        return core.rejected_result(batch, "out_of_sequence", f"the batch does not follow the tip {tip}", tip)

    def _count(self, batches: list[Batch], results: list[Result]) -> None:
        self._count_failures(sum(result.reason == "internal" for result in results))
        for batch, result in zip(batches, results, strict=True):
            self._metrics.add_metric(name=f"Batches{result.outcome.capitalize()}", unit=MetricUnit.Count, value=1)
            if result.outcome == "stored":
                self._metrics.add_metric(name="BytesStored", unit=MetricUnit.Bytes, value=len(batch.body))
                self._metrics.add_metric(name="RawBytesStored", unit=MetricUnit.Bytes, value=batch.raw)
                self._metrics.add_metric(name="EntriesStored", unit=MetricUnit.Count, value=batch.count)
                delay_ms = max(0, self._now_ms() - batch.end // 1000)
                self._metrics.add_metric(name="StoreDelay", unit=MetricUnit.Milliseconds, value=delay_ms)
            elif result.outcome in {"conflict", "rejected"}:
                extra = {"job": batch.job, "first": batch.first, "outcome": result.outcome, "reason": result.reason}
                self._logger.warning("a batch was not stored", extra=extra)

    def _count_gaps(self, gaps: Counter[GapReason]) -> None:
        """Count gaps in all, for the alarm, and by reason, for the dashboard."""
        if not gaps:
            return
        self._metrics.add_metric(name="GapsStored", unit=MetricUnit.Count, value=gaps.total())
        for reason, count in gaps.items():
            namespace = self._metrics.namespace
            with single_metric(name="GapsStored", unit=MetricUnit.Count, value=count, namespace=namespace) as metric:
                metric.add_dimension(name="service", value=str(self._metrics.service))
                metric.add_dimension(name="reason", value=reason)

    def _count_failures(self, parts: int) -> None:
        """Count parts of a request that failed here. The answer says so, and Lambda sees no error."""
        if parts:
            self._metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=parts)

    def _report_malformed(self, metric: str, malformed: Sequence[MalformedPart]) -> None:
        if malformed:
            self._metrics.add_metric(name=metric, unit=MetricUnit.Count, value=len(malformed))
        for part in malformed:
            extra = {"job": part.job, "first": part.first, "detail": short_sentence(part.detail)}
            self._logger.warning("a part of a request is malformed", extra=extra)

    # --- status and ping

    def status(self, principal: Principal, message: Status, malformed: Sequence[MalformedPart] = ()) -> Noted:
        """Update the records of changed jobs. The record of a malformed one stays as it is."""
        self._report_malformed("JobsMalformed", malformed)
        list(self._executor.map(lambda job: self._record_status(principal, job), message.jobs))
        ended = [job_id(principal.name, job.job) for job in message.jobs if job.life.over]
        if ended:
            try:
                self._notify_ended(ended)
            except Exception:
                # The archive's own sweeps find these jobs later.
                self._logger.exception("the archive could not be told about ended jobs")
        return Noted(id=message.id)

    def _record_status(self, principal: Principal, status: StatusJob) -> None:
        job, now = job_id(principal.name, status.job), self._now_ms()
        last = self._store.last_batch(job)
        # The record takes over tip and cursor from time to time, so that a quiet job outlives its log's time to live.
        kept = last if last and not last.get("deleted") else {}
        self._store.record_status(
            job,
            {
                "life": status.life.model_dump(exclude_none=True),
                "tip": core.tip_of(None, last) or None,
                "first": kept.get("first"),
                "digest": kept.get("digest"),
                "cursor": kept.get("cursor"),
                "bytes": status.bytes,
                "gaps": status.gaps,
                "last": status.last // 1000 if status.last is not None else None,
                "noted_tip": status.tip,
                "noted_at": core.life_progress(status.life, now),
            },
            now,
        )

    def ping(self, principal: Principal, connection: str, message: Ping) -> Pong:
        """Record that the instance is alive. The metric gives the connected agents, and their minutes."""
        self._metrics.add_metric(name="Pings", unit=MetricUnit.Count, value=1)
        # Another process of this function may have served `open`. Then the registry knows the instance.
        instance = self._instances.get(connection) or self._store.instance_of(connection)
        if instance is not None:
            self._instances[connection] = instance
            self._store.record_heartbeat(principal.name, instance, self._now_ms())
        return Pong(id=message.id)


def _watched(ttl: int, interval: int) -> Watched:
    return Watched(ttl=min(ttl, MAX_DURATION_MS), interval=min(interval, MAX_DURATION_MS))


def _end_of(item: dict[str, object]) -> int | None:
    first, count = item.get("first"), item.get("count")
    return first + count - 1 if isinstance(first, int) and isinstance(count, int) else None
