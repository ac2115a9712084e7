"""Takes the streams' events apart, sends what they say, and answers which records failed."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

from logferry_protocol.messages import JobMessage, encode
from registry import jobs
from registry.telemetry import flush

from . import core
from .core import Arrival
from .delivery import Delivery
from .store import Store

Event = Mapping[str, Any]
Handler = Callable[[Event, Any], PartialItemFailureResponse]
Close = Callable[[str], None]


def build_handler(
    store: Store, delivery: Delivery, closers: Mapping[str, Close], logger: Logger, metrics: Metrics
) -> Handler:
    """The Lambda handler. `closers` close a connection of an `agent` or a `viewer`.

    The batch processor of Powertools takes one record at a time; here all batches of a job are joined into as few
    frames as they fit, so groups of records are processed, each failing or passing as one. The answer is the same.
    """

    def broadcast_job(job: str, arrivals: list[Arrival]) -> None:
        batches = [arrival.item for arrival in arrivals if not arrival.item.get("deleted")]
        if not batches:
            return
        outcomes = delivery.deliver(store.subscribers(f"JOB#{job}"), core.batch_frames(job, batches), job)
        for outcome in set(outcomes):
            name = f"Viewers{outcome.title().replace('_', '')}"
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=outcomes.count(outcome))

    def changed(arrival: Arrival) -> None:
        kind = arrival.item["sk"]
        if kind == "JOB":
            return tell_lists(arrival.item)
        if kind in {"CREDENTIAL", "GRANT"} and arrival.item.get("revoked"):
            return close_connections([arrival.item["pk"]])
        if kind == "PRINCIPAL" and arrival.item.get("revoked"):
            return close_connections(store.openers_of(arrival.item["name"]))
        return None

    def tell_lists(item: Mapping[str, Any]) -> None:
        record = jobs.to_record(item)
        frame = encode(JobMessage(record=record, deleted=bool(item.get("deleted")))).encode()
        for owner in (record.owner, "*"):
            wanting = (one for one in store.subscribers(f"LIST#{owner}") if core.matches(one.selector, record))
            delivery.deliver(wanting, [frame])

    def close_connections(openers: list[str]) -> None:
        for opener in openers:
            for connection in store.connections_of(opener):
                name = connection["pk"].removeprefix("CONNECTION#")
                store.remove_connection(name)
                closers[connection["kind"]](name)
                metrics.add_metric(name="ConnectionsRevoked", unit=MetricUnit.Count, value=1)

    def attempt(sequence_numbers: list[str], work: Callable[[], None]) -> list[str]:
        try:
            work()
        except Exception:
            logger.exception("records not broadcast", extra={"records": len(sequence_numbers)})
            metrics.add_metric(name="RecordsFailed", unit=MetricUnit.Count, value=len(sequence_numbers))
            return sequence_numbers
        return []

    def handler(event: Event, context: Any) -> PartialItemFailureResponse:
        failed: list[str] = []
        batches: list[Arrival] = []
        changes: list[Arrival] = []
        for record in event["Records"]:
            try:
                arrival = core.read_record(record)
                (batches if "first" in record["dynamodb"]["Keys"] else changes).append(arrival)
            except (KeyError, TypeError, ValueError):
                logger.exception("a record is not understood")
                failed.append(record["dynamodb"]["SequenceNumber"])
        for job, arrivals in core.by_job(batches).items():
            failed += attempt([one.sequence_number for one in arrivals], lambda j=job, a=arrivals: broadcast_job(j, a))  # type: ignore[misc]
        for arrival in changes:
            failed += attempt([arrival.sequence_number], lambda a=arrival: changed(a))  # type: ignore[misc]
        flush(metrics)
        return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}

    return handler
