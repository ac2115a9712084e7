"""core/batching/read_throttle.py: rest after little, none while much comes."""

from logferry_agent.core.batching.read_throttle import BURST_S, PAUSE_S, ReadThrottle


def test_a_log_that_gives_little_rests_after_every_read() -> None:
    """However many reads there are."""
    pace = ReadThrottle(100)
    assert [pace.pause_s(99, now / 1_000) for now in range(50)] == [PAUSE_S] * 50


def test_where_much_came_there_is_no_rest_for_a_while() -> None:
    """From the last time on that it did."""
    pace = ReadThrottle(100)
    assert pace.pause_s(100, 5.0) == 0
    assert pace.pause_s(1, 5.0 + BURST_S / 2) == 0
    assert pace.pause_s(300, 5.0 + BURST_S / 2) == 0
    assert pace.pause_s(1, 5.0 + BURST_S * 1.4) == 0
    assert pace.pause_s(1, 5.0 + BURST_S * 1.5) == PAUSE_S


def test_in_a_burst_a_log_breathes_after_little_if_it_is_to() -> None:
    """But never after much."""
    pace = ReadThrottle(100, 0.001)
    assert [pace.pause_s(100, 5.0), pace.pause_s(99, 5.1), pace.pause_s(100, 5.2)] == [0, 0.001, 0]
    assert pace.pause_s(99, 5.2 + BURST_S) == PAUSE_S
