"""Test `backoff.py`."""

from math import isfinite
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_protocol.backoff import RECONNECT, Backoff, Retries

seconds = st.floats(0.001, 3_600.0)
policies = st.builds(Backoff, seconds, seconds, st.floats(1.0, 10.0))


def longest() -> float:
    """Draw the longest delay that is possible."""
    return 1.0


def test_reconnect_ceiling_doubles_from_one_second_to_thirty() -> None:
    """ARCHITECTURE.md, When something fails: full jitter 1 s to 30 s."""
    retries = Retries(RECONNECT, longest)
    assert [retries.next_delay() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [RECONNECT.delay(attempt, longest) for attempt in (1, 2, 6, 10_000)] == [1, 2, 30, 30]


@given(st.integers(), st.integers(1, 200))
def test_no_delay_is_negative_or_above_the_maximum(seed: int, attempt: int) -> None:
    """Any seed, any attempt."""
    assert 0 <= RECONNECT.delay(attempt, Random(seed).random) <= 30


@given(policies, st.integers(0, 10**9), st.floats(0.0, 1.0, exclude_max=True))
def test_delay_is_within_the_ceiling_and_the_ceiling_within_the_policy(
    policy: Backoff, attempt: int, chance: float
) -> None:
    """Any policy, any attempt, any jitter."""
    ceiling = policy.ceiling(attempt)
    assert isfinite(ceiling)
    assert 0 <= policy.delay(attempt, lambda: chance) <= ceiling <= policy.longest_s
    assert ceiling <= policy.ceiling(attempt + 1), "it never shrinks"


@given(policies)
def test_first_ceiling_is_the_first_wait_of_the_policy(policy: Backoff) -> None:
    """A first wait beyond the longest counts as the longest."""
    assert policy.ceiling(1) == min(policy.first_s, policy.longest_s)


@given(st.integers(0, 1_000), st.integers(1, 12))
def test_jitter_spreads_delays_over_the_whole_range(seed: int, attempt: int) -> None:
    """Of 200 clients that fail together some retry early, some late, and on average at half of the ceiling."""
    rng, ceiling = Random(seed), RECONNECT.ceiling(attempt)
    delays = [RECONNECT.delay(attempt, rng.random) for _ in range(200)]
    assert min(delays) < 0.1 * ceiling
    assert max(delays) > 0.9 * ceiling
    assert sum(delays) / len(delays) == pytest.approx(ceiling / 2, rel=0.25)


@given(policies, st.integers(0, 20), st.integers(1, 20))
def test_retries_begin_again_with_the_first_wait_after_a_reset(policy: Backoff, failures: int, more: int) -> None:
    """Any number of failures before and after a success."""
    retries = Retries(policy, longest)
    for _ in range(failures):
        retries.next_delay()
    retries.reset()
    assert [retries.next_delay() for _ in range(more)] == [policy.ceiling(attempt + 1) for attempt in range(more)]
