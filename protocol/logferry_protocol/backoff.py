"""The retry policy of all Python components: exponential backoff with full jitter.

Nothing here sleeps or reads a clock. Callers draw a wait and sleep in their own way. Full jitter (any time up to the
ceiling, not around it) spreads a fleet that lost its cloud at the same moment evenly:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

Clients of AWS in the functions do not use this policy: botocore retries inside each call (`retries` in `Config`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Jitter = Callable[[], float]
"""Returns a random number from [0, 1), such as `random.random`."""

_MOST_DOUBLINGS: Final = 60
"""Bounds the exponent, so that the ceiling of any attempt is a finite number."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each retry of one operation."""

    first_s: float
    """Ceiling of the wait before the first retry, in seconds."""
    longest_s: float
    """Ceiling of any wait, in seconds."""
    factor: float = 2.0
    """The ceiling grows by this factor with each failed attempt."""

    def ceiling(self, attempt: int) -> float:
        """Return the longest possible wait before a retry, in seconds.

        Args:
            attempt: The number of failed attempts so far; 1 before the first retry.
        """
        return min(self.first_s * self.factor ** min(max(attempt - 1, 0), _MOST_DOUBLINGS), self.longest_s)

    def delay(self, attempt: int, jitter: Jitter) -> float:
        """Return the wait before a retry, in seconds: a random part of the ceiling.

        Args:
            attempt: The number of failed attempts so far; 1 before the first retry.
            jitter: The source of randomness.
        """
        return jitter() * self.ceiling(attempt)


RECONNECT: Final = Backoff(first_s=1.0, longest_s=30.0)
"""Agents and viewers reconnect to the cloud by this, and agents resend (ARCHITECTURE.md, "When something fails")."""


class Retries:
    """Counts the failed attempts in a row, where the caller has no counter of its own. Not thread-safe."""

    def __init__(self, backoff: Backoff, jitter: Jitter) -> None:
        self._backoff, self._jitter = backoff, jitter
        self._attempts = 0

    def next_delay(self) -> float:
        """Count a failed attempt and return the wait before the next one, in seconds."""
        self._attempts += 1
        return self._backoff.delay(self._attempts, self._jitter)

    def reset(self) -> None:
        """Begin again with the first wait: an attempt succeeded."""
        self._attempts = 0
