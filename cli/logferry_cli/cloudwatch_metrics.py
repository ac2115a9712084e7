"""Read many CloudWatch metrics at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
MOST_QUERIES: Final = 500
"""Queries of one call (API reference, GetMetricData)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as CloudWatch identifies it."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str = "Sum"
    period: int = HOUR
    """Seconds of one value. `DAY` is for what AWS measures once a day."""


class MetricValues:
    """The values of some metrics in a time."""

    def __init__(self, values: dict[Metric, list[float]]) -> None:
        self._values = values

    def total(self, metric: Metric) -> float | None:
        """Return the sum of a metric's values; None if it has none. That is not 0: nothing was measured."""
        values = self._values.get(metric)
        return sum(values) if values else None

    def newest(self, metric: Metric) -> float | None:
        """Return the newest value of a metric; None if it has none."""
        values = self._values.get(metric)
        return values[-1] if values else None

    def count(self, metric: Metric) -> int:
        """Return for how many periods a metric has a value."""
        return len(self._values.get(metric, ()))


def read_metrics(client: Any, metrics: Iterable[Metric], start: datetime, end: datetime) -> MetricValues:
    """Return the values of metrics between two times.

    Args:
        client: CloudWatch.
        metrics: What to read. What is measured once a day is read from three days before the end on.
        start: The beginning.
        end: The end.
    """
    found: dict[Metric, list[float]] = {}
    distinct = list(dict.fromkeys(metrics))
    daily = [metric for metric in distinct if metric.period == DAY]
    others = [metric for metric in distinct if metric.period != DAY]
    for wanted, since in ((others, start), (daily, end - timedelta(days=3))):
        for part in _parts(wanted):
            for metric, values in _read(client, part, since, end):
                found.setdefault(metric, []).extend(values)
    return MetricValues(found)


def list_own_metrics(client: Any, namespace: str) -> list[Metric]:
    """Return the metrics of a namespace that got a value within CloudWatch's last two weeks."""
    pages = client.get_paginator("list_metrics").paginate(Namespace=namespace)
    return [
        Metric(
            namespace,
            one["MetricName"],
            tuple((each["Name"], each["Value"]) for each in one["Dimensions"]),
            "SampleCount",
        )
        for page in pages
        for one in page["Metrics"]
    ]


def _parts(metrics: list[Metric]) -> Iterator[list[Metric]]:
    rest = iter(metrics)
    while part := list(islice(rest, MOST_QUERIES)):
        yield part


def _read(client: Any, metrics: list[Metric], start: datetime, end: datetime) -> Iterator[tuple[Metric, list[float]]]:
    queries = [
        {
            "Id": f"m{index}",
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
                },
                "Period": metric.period,
                "Stat": metric.stat,
            },
        }
        for index, metric in enumerate(metrics)
    ]
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            yield metrics[int(result["Id"][1:])], list(result["Values"])
