"""Finds addresses to which data would travel unencrypted."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def clear_host(url: str) -> str | None:
    """Return the host of an unencrypted address, if it is not this machine.

    Returns:
        None for `wss://` and `https://`, and for this machine: localhost, 127.0.0.0/8 and ::1.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    return None if parts.scheme in ("wss", "https") or _is_loopback(host) else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
