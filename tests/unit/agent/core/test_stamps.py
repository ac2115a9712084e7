"""Tests of `core/stamps.py`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.stamps import microseconds, nanoseconds, text_of

SECOND = 1_000_000_000
TIMES = st.integers(0, 4_000_000_000 * SECOND)


def written(time: int, *, zeros: bool) -> str:
    """As a json-file has it: without trailing zeros, or as the API writes it."""
    stamp = text_of(time)
    return stamp if zeros else stamp[:-1].rstrip("0").rstrip(".") + "Z"


@given(st.lists(TIMES, min_size=1, max_size=20), st.booleans())
def test_many_stamps_are_read_as_one_is(times: list[int], zeros: bool) -> None:
    """Whatever seconds they belong to, in any order."""
    stamps = [written(time, zeros=zeros) for time in times]
    assert (
        microseconds(stamps) == [nanoseconds(stamp) // 1_000 for stamp in stamps] == [time // 1_000 for time in times]
    )


@given(TIMES, st.lists(st.integers(0, SECOND - 1), min_size=1, max_size=20), st.booleans())
def test_a_burst_of_one_second_is_read_the_same(start: int, within: list[int], zeros: bool) -> None:
    """The shortcut for it makes no difference."""
    times = [start // SECOND * SECOND + part for part in within]
    assert microseconds([written(time, zeros=zeros) for time in times]) == [time // 1_000 for time in times]


@pytest.mark.parametrize("digits", ["12e456", "+12345", " 12345", "1_2345", "-12345", "١٢٣٤٥٦", "12.456", "12,456"])
def test_decimals_that_are_no_digits_are_refused(digits: str) -> None:
    """Also those that some reader of numbers would take."""
    good = "2026-11-23T10:00:00.123456789Z"
    with pytest.raises(ValueError, match="timestamp"):
        microseconds([good, f"2026-11-23T10:00:00.{digits}789Z"])
