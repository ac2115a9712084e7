"""Convert an engine's answers to the types and ranges that the agent works with.

The answers may come from an engine, from a proxy in between, or from a damaged file that the engine passes on. So no
function here raises for an unexpected value: it uses what makes sense and leaves out the rest. Only data that is not
JSON is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from logferry_protocol.limits import MAX_TIME_US

LAST_INSTANT: Final = MAX_TIME_US * 1_000 + 999
"""The latest time of a lifecycle event, in nanoseconds since 1970."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89abAB]|\xed[\xa0-\xbf]")
"""Where half of a surrogate pair may come from: text that no encoder accepts."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}")


def document(data: bytes) -> Any:
    """Return a JSON document, without values that JSON does not have (`NaN`, half of a surrogate pair).

    Raises:
        ValueError: the data is not JSON, or is nested too deep for the parser.
    """
    try:
        found = json.loads(data.decode("utf-8", "backslashreplace"), parse_constant=lambda _: None)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return _whole(found) if _SURROGATE.search(data) else found


def text(value: object) -> str:
    """Return a text that can be encoded; an empty one for a value that is not a text."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


def number(value: object, least: int, most: int) -> int | None:
    """Return a whole number, limited to `least` and `most`; None for a value that is not a number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return least if value < least else most if value > most else int(value)


def instant(value: object) -> int:
    """Return nanoseconds since 1970 within the wire's range; 0 for a value that is not a number."""
    return number(value, 0, LAST_INSTANT) or 0


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def strings(value: object) -> dict[str, str]:
    """Return a JSON object with only texts as values, as labels and options have."""
    return {text(key): text(one) if isinstance(one, str) else json.dumps(one) for key, one in mapping(value).items()}


def _whole(found: Any) -> Any:
    if isinstance(found, dict):
        return {text(key): _whole(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_whole(value) for value in found]
    return text(found) if isinstance(found, str) else found
