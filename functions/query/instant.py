"""From a time to a sequence."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from logferry_protocol.batch import decode_body
from logferry_protocol.limits import MAX_TIME_US

from .core import ParameterError


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
    if not 0 <= us <= MAX_TIME_US:
        raise ParameterError("time is out of range")
    return us


def sequence_at(us: int, tip: int, batch_at: Callable[[int], Mapping[str, Any] | None]) -> int:
    """The first sequence whose time is `us` or later; tip + 1 when all are earlier.

    Halves the range of sequences: `batch_at` gives the batch that holds one, or the next that is kept. Where a clock
    stepped back the times do not rise, and any of the places that fit may be found.
    """
    low, high = 1, tip + 1
    candidate: Mapping[str, Any] | None = None
    while low < high:
        batch = batch_at((low + high) // 2)
        if batch is None:
            high = (low + high) // 2
            continue
        if batch["end"] < us:
            low = batch["first"] + batch["count"]
        else:
            candidate = batch
            high = min(batch["first"], (low + high) // 2)
    if candidate is None:
        return tip + 1
    for sequence, time, _character, _text in decode_body(candidate["body"]).rows(candidate["first"]):
        if time >= us:
            return sequence
    return int(candidate["first"]) + int(candidate["count"])
