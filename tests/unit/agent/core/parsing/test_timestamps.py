"""Test `core/parsing/timestamps.py`."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logferry_agent.core.parsing.timestamps import (
    FIRST_INSTANT,
    LAST_INSTANT,
    entry_time,
    format_stamp,
    is_stamp,
    nanoseconds,
    normalise,
)
from logferry_protocol.limits import MAX_TIME_US, MIN_TIME_US

SECOND = 1_000_000_000
TIMES = st.integers(0, 4_000_000_000 * SECOND)


def written(time: int, *, zeros: bool) -> str:
    """Write a timestamp as a json-file does, without trailing zeros, or as the API does."""
    stamp = format_stamp(time)
    return stamp if zeros else stamp[:-1].rstrip("0").rstrip(".") + "Z"


@given(st.lists(TIMES, min_size=1, max_size=20), st.booleans())
def test_many_timestamps_are_read_like_single_ones(times: list[int], zeros: bool) -> None:
    """For any seconds, in any order."""
    stamps = [written(time, zeros=zeros) for time in times]
    assert (
        normalise(stamps)[1] == [nanoseconds(stamp) // 1_000 for stamp in stamps] == [time // 1_000 for time in times]
    )


@given(TIMES, st.lists(st.integers(0, SECOND - 1), min_size=1, max_size=20), st.booleans())
def test_burst_of_one_second_is_read_the_same(start: int, within: list[int], zeros: bool) -> None:
    """The fast path for it makes no difference."""
    times = [start // SECOND * SECOND + part for part in within]
    assert normalise([written(time, zeros=zeros) for time in times])[1] == [time // 1_000 for time in times]


@pytest.mark.parametrize("digits", ["12e456", "+12345", " 12345", "1_2345", "-12345", "١٢٣٤٥٦", "12.456", "12,456"])
def test_invalid_decimals_are_refused(digits: str) -> None:
    """Also those that some number parsers accept."""
    good = "2026-11-23T10:00:00.123456789Z"
    with pytest.raises(ValueError, match="timestamp"):
        normalise([good, f"2026-11-23T10:00:00.{digits}789Z"])


ANY_INSTANT = st.integers(FIRST_INSTANT, LAST_INSTANT)
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59)


def in_zone(time: int, minutes: int) -> str:
    """Write a timestamp as an engine in this zone does."""
    zone = timezone(timedelta(minutes=minutes))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time // SECOND)
    written = moment.astimezone(zone).isoformat()
    return f"{written[:19]}.{time % SECOND:09d}{written[19:]}"


@given(st.lists(st.tuples(TIMES, ZONES), min_size=1, max_size=20))
def test_timestamps_of_any_zones_become_the_same_instants_in_utc(written: list[tuple[int, int]]) -> None:
    """Also if the zone changes between two of them."""
    times = [time for time, _ in written]
    stamps = [in_zone(time, minutes) for time, minutes in written]
    assert normalise(stamps) == ([format_stamp(time) for time in times], [time // 1_000 for time in times])
    assert [nanoseconds(stamp) for stamp in stamps] == times


@given(st.lists(ANY_INSTANT, min_size=1, max_size=20))
@example([FIRST_INSTANT, 0, LAST_INSTANT])
def test_instant_of_any_year_is_kept_and_its_entry_fits_the_wire(times: list[int]) -> None:
    """A clock that was not set, another program's zero time, a flipped digit."""
    stamps = [format_stamp(time) for time in times]
    assert normalise(stamps) == (stamps, [entry_time(time) for time in times])
    assert [nanoseconds(stamp) for stamp in stamps] == times
    assert all(MIN_TIME_US <= entry_time(time) <= MAX_TIME_US for time in times)


@given(st.lists(ANY_INSTANT, min_size=2, max_size=2))
def test_later_instant_is_a_later_text(times: list[int]) -> None:
    """For timestamps with nine decimals."""
    assert (format_stamp(times[0]) < format_stamp(times[1])) == (times[0] < times[1])


@pytest.mark.parametrize(
    "stamp", ["0000-01-01T00:00:00.5+00:01", "9999-12-31T23:59:59.9-23:59", "0000-01-01T00:00:00+23:59"]
)
def test_instant_beyond_the_years_is_clamped(stamp: str) -> None:
    """Only a time zone can make one: before the year 0 and after the year 9999."""
    (written,), (time,) = normalise([stamp])
    assert nanoseconds(stamp) in {FIRST_INSTANT, LAST_INSTANT}
    assert (nanoseconds(written), time) == (nanoseconds(stamp), entry_time(nanoseconds(stamp)))


GOOD = "2026-11-23T10:00:00.123456789Z"
STAMP_LIKE = st.one_of(
    st.builds(
        lambda at, length, middle: GOOD[:at] + middle + GOOD[at + length :],
        st.integers(0, len(GOOD)),
        st.integers(0, 4),
        st.text("0123456789-T:.Z+ e_\u0661", max_size=4),
    ),
    st.text(max_size=40),
    st.builds(in_zone, TIMES, ZONES),
)


@given(st.lists(STAMP_LIKE, min_size=1, max_size=4), st.booleans())
@example(["2026-11-23T10:00:00.123456xxxZ"], True)
@example(["1" * 30 + GOOD, "1" * 30 + GOOD], False)
@example([f"{GOOD} {GOOD}", ""], False)
@example(["2026-11-23T10:00:001234567.89Z"], True)
def test_accepted_timestamp_is_valid_for_every_later_parser(stamps: list[str], beside: bool) -> None:
    """Otherwise a cursor could not be made of it, long after it was read."""
    stamps = [*stamps, GOOD] if beside else stamps
    assert [is_stamp(stamp) for stamp in stamps].count(False) == 0 or not passes(stamps)
    with contextlib.suppress(ValueError):
        written, times = normalise(stamps)
        assert [nanoseconds(stamp) for stamp in written] == [nanoseconds(stamp) for stamp in stamps]
        assert times == [entry_time(nanoseconds(stamp)) for stamp in stamps]


def passes(stamps: list[str]) -> bool:
    try:
        normalise(stamps)
    except ValueError:
        return False
    return True
