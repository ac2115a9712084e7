"""Limits the rate of one principal's requests. The state is per process: it bounds the cost, and is not exact."""

from collections import OrderedDict
from typing import Final

REQUESTS_A_SECOND: Final = 50.0
BURST: Final = 200.0
_REMEMBERED: Final = 5_000


class RateLimiter:
    """Keeps a bucket of tokens for each principal."""

    def __init__(self, rate: float = REQUESTS_A_SECOND, burst: float = BURST) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, name: str, now_ms: int) -> float:
        """Take a token; return 0, or the seconds until the next request is allowed."""
        tokens, then = self._buckets.pop(name, (self._burst, now_ms))
        tokens = min(self._burst, tokens + max(0, now_ms - then) / 1000 * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[name] = (tokens if wait else tokens - 1, now_ms)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return wait
