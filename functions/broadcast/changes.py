"""What a change in the registry sets going: lists are told of jobs, and what was revoked is closed."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from logferry_protocol.messages import JobMessage, encode
from registry import jobs

from . import core
from .core import Arrival
from .delivery import Delivery
from .store import Store

Close = Callable[[str], None]


class Changes:
    """Serves the registry's stream. `closers` close a connection of an `agent` or a `viewer`."""

    def __init__(self, store: Store, delivery: Delivery, closers: Mapping[str, Close], metrics: Metrics) -> None:
        self._store, self._delivery, self._closers, self._metrics = store, delivery, closers, metrics

    def serve(self, arrival: Arrival) -> None:
        """One changed item."""
        item = arrival.item
        if item["sk"] == "JOB":
            self._tell_lists(item)
        elif item.get("revoked") and item["sk"] in {"CREDENTIAL", "GRANT"}:
            self._close_connections([item["pk"]])
        elif item.get("revoked") and item["sk"] == "PRINCIPAL":
            self._close_connections(self._store.openers_of(item["name"]))

    def _tell_lists(self, item: Mapping[str, Any]) -> None:
        record = jobs.to_record(item)
        frame = encode(JobMessage(record=record, deleted=bool(item.get("deleted")))).encode()
        for owner in (record.owner, "*"):
            wanting = (one for one in self._store.subscribers(f"LIST#{owner}") if core.matches(one.selector, record))
            self._delivery.deliver(wanting, [frame])

    def _close_connections(self, openers: list[str]) -> None:
        for opener in openers:
            for connection in self._store.connections_of(opener):
                name = connection["pk"].removeprefix("CONNECTION#")
                # Closed before it is forgotten: where closing fails, the record comes again and must still find it.
                self._closers[connection["kind"]](name)
                self._store.remove_connection(name)
                self._metrics.add_metric(name="ConnectionsRevoked", unit=MetricUnit.Count, value=1)
