"""Arithmetic of what a deployment costs: measured amounts and prices in, costs out. No clock and no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from logferry_cli.price_list import PriceList

MONTH_DAYS: Final = 365.25 / 12
HOURS_OF_MONTH: Final = MONTH_DAYS * 24

EVENT_OVERHEAD_BYTES: Final = 26
"""What CloudWatch Logs adds to each event when it counts bytes (API reference, PutLogEvents)."""

COMPRESSION_OF_LOGS: Final = 0.15
"""Stored share of ingested bytes in CloudWatch Logs, as the examples of AWS's pricing page assume it."""

Kind = Literal["used", "kept"]
"""`used`: an amount within the measured days. `kept`: what is there now, and costs every month also without traffic."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One amount that AWS bills."""

    group: str
    name: str
    unit: str
    price: str
    """The name of its price."""
    amount: float | None
    """How much. None: not known, for the reason in `unknown`."""
    kind: Kind = "used"
    unknown: str = ""
    """Why the amount is not known."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one amount costs. A cost is None when the amount or its price is not known; it is never 0 for that."""

    measure: Measure
    cost: float | None
    """Dollars in the measured days."""
    month: float | None
    """Dollars in a month at the same rate."""
    unknown: str = ""
    """Why the cost is not known."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that were stored in the measured days. None: not known."""

    count: float | None
    raw_bytes: float | None
    retention_days: float


@dataclass(frozen=True, slots=True)
class CloudWatchLogs:
    """What the same lines would cost in CloudWatch Logs, in a month at the same rate."""

    ingestion: float | None
    storage: float | None
    """For the lines of one retention time, which is what is kept in the long run."""
    unknown: str = ""

    @property
    def month(self) -> float | None:
        """Dollars in a month."""
        return None if self.ingestion is None or self.storage is None else self.ingestion + self.storage


@dataclass(frozen=True, slots=True)
class Report:
    """The costs of a deployment. Sums are of what is known, so they are lower bounds while something is unknown."""

    days: float
    items: Sequence[Item]
    cloudwatch_logs: CloudWatchLogs

    @property
    def cost(self) -> float:
        """Dollars in the measured days, of everything that is known."""
        return sum(item.cost for item in self.items if item.cost is not None)

    @property
    def month(self) -> float:
        """Dollars in a month at the same rate, of everything that is known."""
        return sum(item.month for item in self.items if item.month is not None)

    @property
    def idle(self) -> float:
        """Dollars in a month without any traffic: what is kept, of everything that is known."""
        return sum(item.month for item in self.items if item.month is not None and item.measure.kind == "kept")

    @property
    def unknown(self) -> list[Item]:
        """The items without a known cost."""
        return [item for item in self.items if item.cost is None]


def report(measures: Iterable[Measure], lines: Lines, prices: PriceList, days: float) -> Report:
    """Return what a deployment costs.

    Args:
        measures: what was measured.
        lines: the lines of the same time, for the comparison.
        prices: the region's prices.
        days: how long was measured; above 0.
    """
    return Report(days, [_item(measure, prices, days) for measure in measures], _compare(lines, prices, days))


def _item(measure: Measure, prices: PriceList, days: float) -> Item:
    if measure.amount is None:
        return Item(measure, None, None, measure.unknown or "not measured")
    if measure.amount == 0:
        return Item(measure, 0.0, 0.0)
    each = prices.each.get(measure.price)
    if each is None:
        return Item(measure, None, None, f"the price {measure.price} in {prices.region} is not known")
    dollars, months = measure.amount * each, days / MONTH_DAYS
    if measure.kind == "kept":
        return Item(measure, dollars * months, dollars)
    return Item(measure, dollars, dollars / months)


def _compare(lines: Lines, prices: PriceList, days: float) -> CloudWatchLogs:
    if lines.count is None or lines.raw_bytes is None:
        return CloudWatchLogs(None, None, "the number of lines and their bytes were not measured")
    month_bytes = (lines.raw_bytes + EVENT_OVERHEAD_BYTES * lines.count) / days * MONTH_DAYS
    ingestion, storage = prices.each.get("logs_gigabyte"), prices.each.get("logs_gigabyte_month")
    if ingestion is None or storage is None:
        return CloudWatchLogs(None, None, f"the prices of CloudWatch Logs in {prices.region} are not known")
    kept = month_bytes * COMPRESSION_OF_LOGS * lines.retention_days / MONTH_DAYS
    return CloudWatchLogs(month_bytes * ingestion, kept * storage)
