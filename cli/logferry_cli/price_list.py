"""A dated list of AWS's prices in one region, read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Final

from logferry_cli.problems import Problem

MILLION: Final = 1e6
GIGABYTE: Final = 1e9
"""AWS bills storage and traffic by 2**30 bytes in places and says GB. The difference of 7 % is on the safe side."""

PRICES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "websocket_million_messages": MILLION,
        "websocket_million_minutes": MILLION,
        "http_million_requests": MILLION,
        "lambda_million_requests": MILLION,
        "lambda_arm64_gigabyte_second": 1,
        "lambda_x86_64_gigabyte_second": 1,
        "dynamodb_million_writes": MILLION,
        "dynamodb_million_reads": MILLION,
        "dynamodb_gigabyte_month": GIGABYTE,
        "dynamodb_backup_gigabyte_month": GIGABYTE,
        "s3_gigabyte_month": GIGABYTE,
        "cloudfront_gigabyte": GIGABYTE,
        "cloudfront_million_requests": MILLION,
        "logs_gigabyte": GIGABYTE,
        "logs_gigabyte_month": GIGABYTE,
        "metric_month": 1,
        "alarm_metric_month": 1,
        "dashboard_month": 1,
    }
)
"""Every price, and for how many of what is measured (messages, bytes …) it is asked."""

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one region."""

    region: str
    date: str = ""
    source: str = ""
    each: Mapping[str, float] = field(default_factory=dict)
    """Dollars for one of what is measured, by the price's name. An unknown price is absent."""

    @property
    def known(self) -> bool:
        """Whether there is any price."""
        return bool(self.each)


def load_prices(region: str, file: Path | None) -> PriceList:
    """Return the prices of a region; a list without prices if nobody wrote them down.

    Args:
        region: The region's name.
        file: The user's price file; None: the one that comes with the command.

    Raises:
        Problem: The file cannot be read, or is not a price file with this region.
    """
    try:
        text = file.read_text("utf-8") if file else (files("logferry_cli") / "prices.toml").read_text("utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"The price file {file} cannot be read ({error}).", "Check its path.") from None
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"The price file {file} is not TOML ({error}).", "Correct it at that place.") from None
    if region not in document:
        if file is None:
            return PriceList(region)
        raise Problem(
            f"The price file {file} has no table [{region}].",
            f"It has {', '.join(f'[{name}]' for name in document) or 'nothing'}; add the region's prices.",
        )
    return parse_prices(region, document[region], str(file or "prices.toml"))


def parse_prices(region: str, table: object, name: str) -> PriceList:
    """Return the prices in a table of a price file.

    Raises:
        Problem: A price is missing or is no price, or the table has something else.
    """
    if not isinstance(table, dict):
        raise Problem(f"{name}: {region} is not a table.", f"Write [{region}], and the prices below it.")
    for word in ("date", "source"):
        if not isinstance(table.get(word), str) or not table[word]:
            raise Problem(f"{name}: [{region}] has no {word}.", f'Add {word} = "…": prices change, and readers ask.')
    if strange := sorted(table.keys() - PRICES.keys() - {"date", "source"}):
        raise Problem(f"{name}: [{region}] has the unknown price {strange[0]}.", f"Known are {', '.join(PRICES)}.")
    each = {}
    for price, units in PRICES.items():
        dollars = table.get(price)
        if dollars == UNKNOWN:
            continue
        if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not isfinite(dollars) or dollars < 0:
            said = "is missing" if dollars is None else f"is {str(dollars)[:40]!r}, which is not a price"
            raise Problem(f"{name}: [{region}] {price} {said}.", f'Write dollars, or "{UNKNOWN}".')
        each[price] = dollars / units
    return PriceList(region, table["date"], table["source"], MappingProxyType(each))
