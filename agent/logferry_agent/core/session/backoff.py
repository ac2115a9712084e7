"""Delays between attempts: exponential with full jitter, as a pure generator that sleeps nowhere."""

from collections.abc import Iterator
from random import Random

FIRST_S = 1.0
LONGEST_S = 30.0
"""DESIGN.md, Ship: full-jitter backoff from 1 s to 30 s."""


def delays(rng: Random, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> Iterator[float]:
    """Yield seconds to wait before each further attempt, for ever.

    Full jitter (any time up to the ceiling, not around it) spreads a fleet that lost its cloud at the same moment
    evenly. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling = first_s
    while True:
        yield rng.uniform(0.0, ceiling)
        ceiling = min(ceiling * 2, longest_s)


def delay(rng: Random, attempt: int, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """Seconds to wait before the given attempt (1 is the first repeat), where a counter is at hand."""
    return rng.uniform(0.0, min(first_s * 2.0 ** min(attempt - 1, 30), longest_s))
