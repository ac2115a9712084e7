"""Serves the streams' events: sends batches and changes to subscribers, and answers which records failed."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from runtime.metrics import flush

from . import core
from .core import StreamRecord
from .delivery import Delivery
from .registry_changes import Close, ListNotifier, RegistryChanges
from .store import Store

Event = Mapping[str, Any]
Handler = Callable[[Event, Any], PartialItemFailureResponse]


def build_handler(
    store: Store,
    delivery: Delivery,
    closers: Mapping[str, Close],
    logger: Logger,
    metrics: Metrics,
    *,
    fan_out: Callable[[bytes], None] = lambda _part: None,
) -> Handler:
    """Return the Lambda handler.

    The batches of a job are joined into as few frames as possible. So the records of a job are served together and fail
    or succeed together. The batch processor then asks for the result of each record, and answers the stream.

    Args:
        store: the registry.
        delivery: sends to subscribers.
        closers: functions that close a connection, for `agent` and `viewer`.
        logger: takes failures.
        metrics: counts deliveries and failures.
        fan_out: invokes this function once more, with a part of the subscribers.
    """
    lists = ListNotifier(store, delivery, delivery.clock.now_ms, logger, metrics)
    registry = RegistryChanges(store, lists, closers, metrics)

    def broadcast_job(job: str, records: list[StreamRecord]) -> None:
        batches = [record.item for record in records if not record.item.get("deleted")]
        if not batches:
            return
        frames, subscribers = core.batch_frames(job, batches), store.subscribers(f"JOB#{job}")
        here = list(islice(subscribers, core.FAN_OUT_SUBSCRIBERS))
        # Others are invoked before anything is sent here, so that thousands of subscribers are served side by side.
        while others := list(islice(subscribers, core.FAN_OUT_SUBSCRIBERS)):
            for part in core.fan_out_events(job, frames, others):
                fan_out(json.dumps(part).encode())
        send(job, frames, here)
        _count_batches(metrics, batches, delivery.clock.now_ms())
        try:
            lists.send_growth(job, batches)
        except Exception:
            # The next batch makes up for it. A failure here would repeat these records for all subscribers.
            logger.exception("lists could not be sent a job's new batches", extra={"job": job})

    def send(job: str, frames: list[bytes], subscribers: list[core.Subscriber]) -> None:
        for outcome, count in Counter(delivery.deliver(subscribers, frames, job)).items():
            name = f"Viewers{outcome.title().replace('_', '')}"
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)

    def attempt(sequence_numbers: list[str], work: Callable[[], None]) -> dict[str, Exception]:
        try:
            work()
        except Exception as error:
            logger.exception("records were not broadcast", extra={"records": len(sequence_numbers)})
            metrics.add_metric(name="RecordsFailed", unit=MetricUnit.Count, value=len(sequence_numbers))
            return dict.fromkeys(sequence_numbers, error)
        return {}

    def serve(records: list[Mapping[str, Any]]) -> dict[str, Exception]:
        """Serve the records of an event; return the error of each that failed, by sequence number."""
        failed: dict[str, Exception] = {}
        batches: list[StreamRecord] = []
        changes: list[StreamRecord] = []
        for raw in filter(core.is_news, records):
            try:
                record = core.read_record(raw)
                (batches if "first" in raw["dynamodb"]["Keys"] else changes).append(record)
            except (KeyError, TypeError, ValueError) as error:
                logger.exception("a stream record could not be read")
                failed[raw["dynamodb"]["SequenceNumber"]] = error
        for job, found in core.group_by_job(batches).items():
            numbers = [one.sequence_number for one in found]
            failed |= attempt(numbers, lambda j=job, f=found: broadcast_job(j, f))  # type: ignore[misc]
        for change in changes:
            failed |= attempt([change.sequence_number], lambda c=change: registry.serve(c))  # type: ignore[misc]
        return failed

    def handler(event: Event, context: Any) -> PartialItemFailureResponse:
        if "subscribers" in event:
            job, frames, subscribers = core.parse_fan_out_event(event)
            send(job, frames, subscribers)
            flush(metrics)
            return {"batchItemFailures": []}
        failed = serve(event["Records"])
        flush(metrics)

        def raise_failure(record: DynamoDBRecord) -> None:
            if (error := failed.get(record.raw_event["dynamodb"]["SequenceNumber"])) is not None:
                raise error

        # One failed record must not repeat those that succeeded, also when no record of the event succeeded.
        processor = BatchProcessor(EventType.DynamoDBStreams, raise_on_entire_batch_failure=False)
        return process_partial_response(dict(event), raise_failure, processor, context)

    return handler


def _count_batches(metrics: Metrics, batches: list[Mapping[str, Any]], now_ms: int) -> None:
    """Count batches that left the stream, and how long after they were stored."""
    metrics.add_metric(name="BatchesBroadcast", unit=MetricUnit.Count, value=len(batches))
    for batch in batches:
        if isinstance(received := batch.get("received"), int):
            metrics.add_metric(name="BroadcastDelay", unit=MetricUnit.Milliseconds, value=max(0, now_ms - received))
