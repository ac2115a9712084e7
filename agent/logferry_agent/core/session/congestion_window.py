"""How many envelopes may be unanswered at once, and whether the cloud wants any at all just now."""

SMALLEST, FIRST, LARGEST = 1.0, 4.0, 32.0
"""32 envelopes of 32 KiB are 1 MiB on the way: more would only fill queues."""


class Window:
    """Grows by one a round of answers, halves when the cloud does not keep up (as TCP does)."""

    def __init__(self) -> None:
        self._size = FIRST
        self._closed_until = 0.0

    @property
    def size(self) -> int:
        """Envelopes that may be unanswered."""
        return int(self._size)

    def is_open(self, now: float) -> bool:
        """Whether the cloud takes envelopes now."""
        return now >= self._closed_until

    def close(self, until: float) -> None:
        """The cloud asks for a pause."""
        self._closed_until = until
        self.congested()

    def answered(self) -> None:
        """An envelope was answered in time."""
        self._size = min(LARGEST, self._size + 1.0 / self._size)

    def congested(self) -> None:
        """An answer did not come in time, or asked to slow down."""
        self._size = max(SMALLEST, self._size / 2.0)
