"""Test `core/batching/read_throttle.py`: pause after small reads, none while much arrives."""

from logferry_agent.core.batching.read_throttle import BURST_S, PAUSE_S, ReadThrottle


def test_slow_log_pauses_after_every_read() -> None:
    """However many reads there are."""
    throttle = ReadThrottle(100)
    assert [throttle.pause_s(99, now / 1_000) for now in range(50)] == [PAUSE_S] * 50


def test_no_pause_for_a_while_after_much_arrived() -> None:
    """Counted from the last large read."""
    throttle = ReadThrottle(100)
    assert throttle.pause_s(100, 5.0) == 0
    assert throttle.pause_s(1, 5.0 + BURST_S / 2) == 0
    assert throttle.pause_s(300, 5.0 + BURST_S / 2) == 0
    assert throttle.pause_s(1, 5.0 + BURST_S * 1.4) == 0
    assert throttle.pause_s(1, 5.0 + BURST_S * 1.5) == PAUSE_S


def test_log_pauses_within_a_burst_after_a_small_read_if_configured() -> None:
    """But never after a large one."""
    throttle = ReadThrottle(100, 0.001)
    assert [throttle.pause_s(100, 5.0), throttle.pause_s(99, 5.1), throttle.pause_s(100, 5.2)] == [0, 0.001, 0]
    assert throttle.pause_s(99, 5.2 + BURST_S) == PAUSE_S
