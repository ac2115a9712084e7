"""What an engine answers, brought into the types and ranges that the agent works with.

An engine's answers are its own, a proxy's between, or a damaged file's that it passes on. So nothing here raises for a
value that is odd: it is taken as far as it makes sense, and left out otherwise. Only what is no JSON at all is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from logferry_protocol.limits import MAX_TIME_US

LAST_INSTANT: Final = MAX_TIME_US * 1_000 + 999
"""The last nanosecond that an event of a container's life can be told with."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89abAB]|\xed[\xa0-\xbf]")
"""Where half of a surrogate pair may come from: text that no encoder takes."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}")


def document(data: bytes) -> Any:
    """Return the JSON document, without what JSON has not (`NaN`, half of a surrogate pair).

    Raises:
        ValueError: it is none, or nested deeper than anybody means.
    """
    try:
        found = json.loads(data.decode("utf-8", "backslashreplace"), parse_constant=lambda _: None)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return _whole(found) if _SURROGATE.search(data) else found


def text(value: object) -> str:
    """Return a text that can be encoded; empty for anything else."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


def number(value: object, least: int, most: int) -> int | None:
    """Return a whole number, moved to the nearer bound where it is beyond; None where it is no number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return least if value < least else most if value > most else int(value)


def instant(value: object) -> int:
    """Return nanoseconds since 1970 within the wire's range; 0 where there is none."""
    return number(value, 0, LAST_INSTANT) or 0


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object of JSON; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def strings(value: object) -> dict[str, str]:
    """Return an object of JSON whose values are all texts, as labels and options are."""
    return {text(key): text(one) if isinstance(one, str) else json.dumps(one) for key, one in mapping(value).items()}


def _whole(found: Any) -> Any:
    if isinstance(found, dict):
        return {text(key): _whole(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_whole(value) for value in found]
    return text(found) if isinstance(found, str) else found
