"""Say from the registry why a key is refused. No I/O: the caller reads the registry's item."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from logferry_cli.problems import Problem
from logferry_cli.registry import Kind, credential_of


def key_problem(
    key: str, kind: Kind, credential: Mapping[str, Any] | None, principal: Mapping[str, Any] | None, now_s: float
) -> Problem | None:
    """Return why the deployment refuses a key, or None if it should accept it.

    Args:
        key: The whole key.
        kind: Who has to show it: an agent or a viewer.
        credential: The registry's item of the key; None where it has none.
        principal: The registry's item of its principal; None where it has none.
        now_s: The time, in seconds since 1970.
    """
    name = credential_of(key)
    new = f"Make a new one: `logferry keys create {kind} NAME`."
    if credential is None:
        return Problem(f"The key {name} is not a key of this deployment.", "Check that key and stack belong together.")
    if credential.get("sha256") != hashlib.sha256(key.encode()).hexdigest():
        return Problem(f"The key {name} exists, but its secret is another.", f"Copy it again, or: {new}")
    who = credential.get("principal")
    if principal is None or credential.get("kind") != kind:
        return Problem(f"The key {name} belongs to {who}, which is no {kind}.", new)
    for item, what in ((credential, f"The key {name} of {who}"), (principal, f"Its principal {who}")):
        if revoked := item.get("revoked"):
            return Problem(f"{what} was revoked on {_day(float(revoked) / 1000)}.", new)
    expires = credential.get("expires")
    if expires is not None and float(expires) <= now_s:
        return Problem(f"The key {name} of {who} expired on {_day(float(expires))}.", new)
    return None


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d at %H:%M UTC")
