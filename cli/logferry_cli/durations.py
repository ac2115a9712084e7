"""Durations as people write them."""

from __future__ import annotations

import re
from typing import Final

from logferry_cli.problems import Problem

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> int:
    """Return the seconds of `90d`, `12h`, `30m` or `45s`.

    Raises:
        Problem: It is none of these.
    """
    if not (match := re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text.strip())):
        raise Problem(f"{text[:40]!r} is not a duration.", "Write 30m, 12h or 90d.")
    return int(match.group(1)) * _SECONDS[match.group(2)]
