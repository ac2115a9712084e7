"""From a time to a sequence."""

from collections.abc import Callable
from datetime import datetime

from logferry_protocol.limits import MAX_TIME_MS, MAX_TIME_US

from .core import ParameterError
from .history import EntryRun


def parse_time(text: str | None) -> int:
    """Microseconds since 1970 of a whole number of them, or of RFC 3339.

    Raises:
        ParameterError: it is neither.
    """
    sentence = "time must be microseconds since 1970, or RFC 3339 with a zone"
    if not text or len(text) > 40:
        raise ParameterError(sentence)
    if text.isascii() and text.isdigit():
        us = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ParameterError(sentence)
            us = round(moment.timestamp() * 1_000_000)
        except (ValueError, OverflowError):
            raise ParameterError(sentence) from None
    if not 0 <= us < (MAX_TIME_MS + 1) * 1000:
        raise ParameterError("time is out of range")
    return min(us, MAX_TIME_US)  # no entry is later


def sequence_at(us: int, tip: int, run_at: Callable[[int], EntryRun | None]) -> int:
    """The first sequence whose time is `us` or later; tip + 1 when all are earlier.

    Halves the range of sequences: `run_at` gives what holds one, or the next that is kept. Where a clock stepped back
    the times do not rise, and any of the places that fit may be found.
    """
    low, high = 1, tip + 1
    candidate: EntryRun | None = None
    while low < high:
        span = run_at((low + high) // 2)
        if span is None:
            high = (low + high) // 2
            continue
        if span.end < us:
            low = span.last + 1
        else:
            candidate = span
            high = min(span.first, (low + high) // 2)
    return tip + 1 if candidate is None else candidate.first_at(us)
