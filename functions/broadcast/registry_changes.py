"""Handles changes in the registry: sends jobs to lists, and closes connections whose credential was revoked."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from logferry_protocol.messages import JobMessage, encode
from registry import jobs

from . import core
from .core import StreamRecord
from .delivery import Delivery
from .store import Store

Close = Callable[[str], None]


class ListNotifier:
    """Tells subscribers of job lists about a job: when its record changes, and while its log grows.

    The record is written on a change of state and every few minutes, not for each batch, so that a batch costs one
    write. So the growth of a running job is computed from its batches.
    """

    def __init__(
        self, store: Store, delivery: Delivery, now_ms: Callable[[], int], logger: Logger, metrics: Metrics
    ) -> None:
        self._store, self._delivery, self._now_ms = store, delivery, now_ms
        self._logger, self._metrics = logger, metrics
        self._last_sent: OrderedDict[str, int] = OrderedDict()
        """When the growth of each job was last sent, the newest last."""

    def send_record(self, item: Mapping[str, Any]) -> None:
        """Tell lists that a job's record appeared or changed. A record that cannot be read is sent to nobody."""
        try:
            record = jobs.to_record(item)
        except jobs.DamagedRecordError:
            # A failure here would repeat the record for ever, and it would still be damaged.
            self._logger.exception("a job's record is damaged")
            self._metrics.add_metric(name="RecordsDamaged", unit=MetricUnit.Count, value=1)
            return
        frame = encode(JobMessage(record=record, deleted=bool(item.get("deleted")))).encode()
        for owner in (record.owner, "*"):
            wanting = (one for one in self._store.subscribers(f"LIST#{owner}") if core.matches(one.selector, record))
            self._delivery.deliver(wanting, [frame])

    def send_growth(self, job: str, batches: Sequence[Mapping[str, Any]]) -> None:
        """Tell lists about a job's new batches, at most once in `core.GROWTH_INTERVAL_MS`.

        A watched job has several batches a second.
        """
        now = self._now_ms()
        if now - self._last_sent.get(job, 0) < core.GROWTH_INTERVAL_MS:
            return
        self._last_sent[job] = now
        self._last_sent.move_to_end(job)
        while now - next(iter(self._last_sent.values())) >= core.GROWTH_INTERVAL_MS:
            self._last_sent.popitem(last=False)
        item = self._store.job(job)
        if item is not None and not item.get("deleted"):
            self.send_record(jobs.with_batches(item, batches))


class RegistryChanges:
    """Serves the registry's stream. `closers` close a connection of an `agent` or a `viewer`."""

    def __init__(self, store: Store, lists: ListNotifier, closers: Mapping[str, Close], metrics: Metrics) -> None:
        self._store, self._lists, self._closers, self._metrics = store, lists, closers, metrics

    def serve(self, record: StreamRecord) -> None:
        """Serve one changed item."""
        item = record.item
        if item["sk"] == "JOB":
            self._lists.send_record(item)
        elif item.get("revoked") and item["sk"] in {"CREDENTIAL", "GRANT"}:
            self._close_connections([item["pk"]])
        elif item.get("revoked") and item["sk"] == "ROLE":
            # The principal's index key finds the connections of all its roles, and none that a key opened. The others
            # connect again.
            self._close_connections([f"PRINCIPAL#{item['principal']}"])
        elif item.get("revoked") and item["sk"] == "PRINCIPAL":
            self._close_connections(self._store.openers_of(item["name"]))

    def _close_connections(self, openers: list[str]) -> None:
        for opener in openers:
            for connection in self._store.connections_of(opener):
                name = connection["pk"].removeprefix("CONNECTION#")
                # Closed before it is deleted: if closing fails, the record is repeated and must still find the
                # connection.
                self._closers[connection["kind"]](name)
                self._store.remove_connection(name)
                self._metrics.add_metric(name="ConnectionsRevoked", unit=MetricUnit.Count, value=1)
