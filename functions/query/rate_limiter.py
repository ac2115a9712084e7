"""How fast one principal may ask. One process's memory: a bound on what one of them costs, not an exact measure."""

from collections import OrderedDict
from typing import Final

REQUESTS_A_SECOND: Final = 50.0
BURST: Final = 200.0
_REMEMBERED: Final = 5_000


class RateLimiter:
    """A bucket of tokens for each principal."""

    def __init__(self, rate: float = REQUESTS_A_SECOND, burst: float = BURST) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, name: str, now_ms: int) -> float:
        """Takes one request; 0 when it may go on, else the seconds after which it may."""
        tokens, then = self._buckets.pop(name, (self._burst, now_ms))
        tokens = min(self._burst, tokens + max(0, now_ms - then) / 1000 * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[name] = (tokens if wait else tokens - 1, now_ms)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return wait
