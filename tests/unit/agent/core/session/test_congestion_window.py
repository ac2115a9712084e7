"""Test `core/session/congestion_window.py`."""

from logferry_agent.core.session.congestion_window import FIRST, LARGEST, CongestionWindow


def test_window_grows_with_answers_and_halves_on_timeouts() -> None:
    """One more per round of answers, half after a missing one."""
    window = CongestionWindow()
    for _ in range(int(FIRST) + 1):
        window.answered()
    assert window.size == int(FIRST) + 1
    window.congested()
    assert window.size == (int(FIRST) + 1) // 2


def test_window_stays_between_one_and_its_maximum() -> None:
    """Never zero, which would stop everything."""
    window = CongestionWindow()
    for _ in range(20):
        window.congested()
    assert window.size == 1
    for _ in range(5_000):
        window.answered()
    assert window.size == int(LARGEST)
