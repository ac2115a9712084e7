"""How many envelopes may be unanswered at once, and whether the cloud accepts any at the moment."""

SMALLEST, FIRST, LARGEST = 1.0, 4.0, 32.0
"""32 envelopes of 32 KiB are 1 MiB in flight: more would only fill queues."""


class CongestionWindow:
    """A window that grows by one per round of answers and halves on congestion, as TCP's does."""

    def __init__(self) -> None:
        self._size = FIRST
        self._closed_until = 0.0

    @property
    def size(self) -> int:
        """How many envelopes may be unanswered."""
        return int(self._size)

    def is_open(self, now: float) -> bool:
        """Return whether the cloud accepts envelopes now."""
        return now >= self._closed_until

    def close(self, until: float) -> None:
        """Pause until a moment, because the cloud asked for it."""
        self._closed_until = until
        self.congested()

    def answered(self) -> None:
        """Grow: an envelope was answered in time."""
        self._size = min(LARGEST, self._size + 1.0 / self._size)

    def congested(self) -> None:
        """Halve: an answer was late, or asked to slow down."""
        self._size = max(SMALLEST, self._size / 2.0)
