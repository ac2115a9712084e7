"""Finds the sequence at a time."""

from collections.abc import Callable
from datetime import datetime

from logferry_protocol.limits import MAX_TIME_MS, MAX_TIME_US

from .core import ParameterError
from .history import EntryRun


def parse_time(text: str | None) -> int:
    """Return microseconds since 1970 from a text: a whole number of them, or RFC 3339.

    Raises:
        ParameterError: the text is neither.
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
    """Return the first sequence whose time is `us` or later; tip + 1 if all are earlier.

    This is a binary search. After a clock stepped back, times do not rise; then any sequence that fits may be returned.

    Args:
        us: the time, in microseconds.
        tip: the job's last sequence.
        run_at: returns the entries that hold a sequence, or the next ones that are kept.
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
