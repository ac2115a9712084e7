"""Tests of `core/session/backoff.py`."""

from itertools import islice
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.session.backoff import delay, delays


class Ceiling(Random):
    """Always the longest delay that is possible."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_ceiling_doubles_from_one_second_to_thirty() -> None:
    """DESIGN.md, Ship: full jitter 1 s to 30 s."""
    assert list(islice(delays(Ceiling()), 7)) == [1, 2, 4, 8, 16, 30, 30]
    assert [delay(Ceiling(), attempt) for attempt in (1, 2, 6, 10_000)] == [1, 2, 30, 30]


@given(st.integers(), st.integers(1, 200))
def test_no_delay_is_negative_or_beyond_the_longest(seed: int, attempt: int) -> None:
    """Any seed, any attempt."""
    assert 0 <= delay(Random(seed), attempt) <= 30
