"""Define which faults can be injected and how often, and count them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares between 0 and 1. The default injects nothing."""

    cut_every_s: float | None = None
    """Every connection is cut (no close frame) at a random time within each span of this many seconds."""
    fail_before: float = 0.0
    """Share of messages answered `Internal server error` without the function having run."""
    fail_after: float = 0.0
    """Share of messages whose function did all its work, and then crashed: `Internal server error`."""
    lose_answer: float = 0.0
    """Share of answers that are lost."""
    repeat_answer: float = 0.0
    """Share of answers that are sent twice."""
    throttle: float = 0.0
    """Share of messages answered `Too Many Requests`."""
    delay_s: float = 0.0
    """Maximum delay in seconds of each message and each answer, drawn separately, so that they reorder."""
    lose_push: float = 0.0
    """Share of @connections posts that are answered 200 and never arrive."""
    repeat_push: float = 0.0
    """Share of @connections posts that arrive twice: a stream delivers at least once."""
    delay_push_s: float = 0.0
    """Maximum delay in seconds of each push, drawn separately."""
    throttle_push: float = 0.0
    """Share of @connections posts answered 429."""
    lose_disconnect: float = 0.0
    """Share of $disconnect that is not invoked: AWS documents it as best effort."""
    throttle_table: float = 0.0
    """Share of DynamoDB calls through this gateway that are answered ProvisionedThroughputExceededException."""
    fail_table_after: float = 0.0
    """Share of DynamoDB calls that are carried out and whose answer is lost (the connection breaks)."""
    slow_table: float = 0.0
    """Share of DynamoDB calls that take `slow_table_s`: longer than a function's timeout, and it times out."""
    slow_table_s: float = 20.0
    http_throttle: float = 0.0
    """Share of HTTP API requests answered 429."""


class FaultInjector:
    """Decide by a seed which message meets which fault, and count them."""

    def __init__(self, seed: int, counts: Counter[str]) -> None:
        self._random = Random(seed)
        self._counts = counts

    def happens(self, what: str, share: float) -> bool:
        """Report whether the fault happens now, and count it as `what`."""
        if share <= 0.0 or self._random.random() >= share:
            return False
        self._counts[what] += 1
        return True

    def random_delay(self, seconds: float) -> float:
        """Return a random time within this many seconds."""
        return self._random.uniform(0.0, seconds) if seconds > 0 else 0.0
