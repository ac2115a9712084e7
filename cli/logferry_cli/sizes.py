"""Sizes in bytes as people write them."""

from __future__ import annotations

import re
from typing import Final

from logferry_cli.problems import Problem

_BYTES: Final = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE: Final = re.compile(r"([1-9][0-9]{0,14}) ?([kKMGT]?i?B)?", re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes of `500MB`, `10 GB`, `64KiB`, or a plain number.

    Raises:
        Problem: It is none of these.
    """
    match = _SIZE.fullmatch(text)
    if match is None or (match[2] or "") not in _BYTES:
        raise Problem(f"{text[:40]!r} is not a size.", "Write 500MB, 10GB or 64KiB.")
    return int(match[1]) * _BYTES[match[2] or ""]


def format_size(size: int) -> str:
    """Return a size as people read it: 12.3 GB."""
    for unit, each in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= each:
            return f"{size / each:.4g} {unit}"
    return f"{size} B"
