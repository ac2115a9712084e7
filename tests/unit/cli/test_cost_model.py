"""Test the arithmetic of costs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_cli.cost_model import (
    COMPRESSION_OF_LOGS,
    EVENT_OVERHEAD_BYTES,
    MONTH_DAYS,
    Lines,
    Measure,
    report,
)
from logferry_cli.price_list import PRICES, PriceList, load_prices
from logferry_cli.problems import Problem

LIST = load_prices("us-east-1", None)
NOTHING = Lines(None, None, 30)

amounts = st.none() | st.floats(min_value=0, max_value=1e15)
measures = st.builds(
    Measure,
    group=st.sampled_from(["Lambda", "S3"]),
    name=st.text(max_size=5),
    unit=st.just("units"),
    price=st.sampled_from(sorted(PRICES)),
    amount=amounts,
    kind=st.sampled_from(["used", "kept"]),
)
windows = st.floats(min_value=1 / 24, max_value=400)


@given(st.lists(measures, max_size=20), windows)
def test_sums_are_those_of_the_known_items(found: list[Measure], days: float) -> None:
    costs = report(found, NOTHING, LIST, days)
    assert math.isclose(costs.cost, math.fsum(item.cost or 0 for item in costs.items), rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(costs.month, costs.cost * MONTH_DAYS / days, rel_tol=1e-9, abs_tol=1e-12)
    assert costs.idle <= costs.month * (1 + 1e-12)


@given(st.lists(measures, max_size=20), windows)
def test_unknown_amount_has_no_cost_and_a_reason(found: list[Measure], days: float) -> None:
    """It is never 0: a reader must see that something is missing."""
    costs = report(found, NOTHING, LIST, days)
    for item in costs.items:
        assert (item.cost is None) == (item.month is None) == (item.measure.amount is None)
        assert bool(item.unknown) == (item.cost is None)
    assert [item.measure for item in costs.unknown] == [one for one in found if one.amount is None]


@given(st.lists(measures, max_size=20), windows, st.integers(min_value=2, max_value=1000))
def test_costs_grow_in_proportion_to_what_is_used(found: list[Measure], days: float, factor: int) -> None:
    more = [replace(one, amount=None if one.amount is None else one.amount * factor) for one in found]
    once, often = report(found, NOTHING, LIST, days), report(more, NOTHING, LIST, days)
    assert math.isclose(often.month, once.month * factor, rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(measures, max_size=20), windows, st.integers(min_value=2, max_value=100))
def test_month_depends_on_the_rate_and_not_on_the_window(found: list[Measure], days: float, factor: int) -> None:
    """What is used doubles in twice the time; what is kept is the same."""
    longer = [
        replace(one, amount=one.amount * factor) if one.amount is not None and one.kind == "used" else one
        for one in found
    ]
    short, long = report(found, NOTHING, LIST, days), report(longer, NOTHING, LIST, days * factor)
    assert math.isclose(short.month, long.month, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(short.idle, long.idle, rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(measures, max_size=20), windows)
def test_idle_deployment_costs_only_what_it_keeps(found: list[Measure], days: float) -> None:
    idle = [replace(one, amount=0.0) if one.kind == "used" else one for one in found]
    costs = report(idle, NOTHING, LIST, days)
    assert costs.idle == pytest.approx(costs.month)


@given(st.lists(measures, max_size=5), windows)
def test_without_prices_every_cost_is_unknown_but_that_of_nothing(found: list[Measure], days: float) -> None:
    costs = report(found, Lines(1, 1, 30), PriceList("eu-nowhere-1"), days)
    assert all(item.cost is None or item.measure.amount == 0 for item in costs.items)
    assert costs.cloudwatch_logs.month is None


def test_examples_by_hand() -> None:
    """A week: two million messages, 86,400 GB-seconds, and 10 GB kept."""
    found = [
        Measure("API Gateway", "messages", "messages", "websocket_million_messages", 2e6),
        Measure("Lambda", "time", "GB-seconds", "lambda_arm64_gigabyte_second", 86_400),
        Measure("DynamoDB", "storage", "bytes", "dynamodb_gigabyte_month", 10e9, "kept"),
    ]
    costs = report(found, Lines(1_000_000, 100e6, 30), LIST, 7)
    assert [item.cost for item in costs.items] == pytest.approx([2.0, 1.15200576, 2.5 * 7 / MONTH_DAYS])
    assert [item.month for item in costs.items] == pytest.approx([2 * MONTH_DAYS / 7, 1.15200576 * MONTH_DAYS / 7, 2.5])
    assert costs.idle == pytest.approx(2.5)
    logs = costs.cloudwatch_logs
    month = (100e6 + EVENT_OVERHEAD_BYTES * 1_000_000) / 7 * MONTH_DAYS
    assert logs.ingestion == pytest.approx(month / 1e9 * 0.5)
    assert logs.storage == pytest.approx(month / 1e9 * COMPRESSION_OF_LOGS * 30 / MONTH_DAYS * 0.03)


def test_comparison_without_measured_lines_is_unknown() -> None:
    """An older cloud does not count raw bytes."""
    logs = report([], Lines(5, None, 30), LIST, 7).cloudwatch_logs
    assert (logs.month, bool(logs.unknown)) == (None, True)


def test_shipped_price_file_has_every_price_a_date_and_a_source() -> None:
    assert set(LIST.each) == set(PRICES)
    assert LIST.date == "2026-09-22"
    assert "price list" in LIST.source


def test_region_without_prices_is_said_to_be_unknown() -> None:
    assert not load_prices("eu-central-1", None).known


FILE = "\n".join(
    ["[eu-central-1]", 'date = "2026-11-30"', 'source = "the bill"', *(f"{name} = 1.5" for name in PRICES)]
)


def test_price_file_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(FILE.replace("s3_gigabyte_month = 1.5", 's3_gigabyte_month = "unknown"'))
    found = load_prices("eu-central-1", path)
    assert found.each["http_million_requests"] == pytest.approx(1.5e-6)
    assert set(PRICES) - set(found.each) == {"s3_gigabyte_month"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not TOML"),
        ("[us-east-1]", "no table [eu-central-1]"),
        ("eu-central-1 = 3", "not a table"),
        (FILE.replace('date = "2026-11-30"', ""), "no date"),
        (FILE.replace("s3_gigabyte_month = 1.5", ""), "s3_gigabyte_month is missing"),
        (FILE.replace("s3_gigabyte_month = 1.5", "s3_gigabyte_month = -1"), "not a price"),
        (FILE.replace("s3_gigabyte_month = 1.5", "s3_gigabyte_month = nan"), "not a price"),
        (FILE.replace("s3_gigabyte_month = 1.5", "s3_gigabyte_month = true"), "not a price"),
        (FILE + "\ncoffee = 1", "unknown price coffee"),
    ],
)
def test_bad_price_file_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(Problem) as problem:
        load_prices("eu-central-1", path)
    assert said in problem.value.sentence
    assert problem.value.advice


def test_missing_price_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot be read"):
        load_prices("us-east-1", tmp_path / "none.toml")
