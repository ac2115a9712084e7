"""Test which addresses would carry a key unencrypted over the network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_protocol.addresses import clear_host


@pytest.mark.parametrize(
    "url",
    [
        "wss://logs.example.com/live",
        "https://10.0.0.7",
        "ws://localhost:4566/live",
        "http://LOCALHOST",
        "ws://127.0.0.1:4566",
        "http://127.255.255.254/",
        "ws://[::1]:4566/live",
    ],
)
def test_encrypted_and_local_addresses_are_accepted(url: str) -> None:
    """Loopback is the network 127.0.0.0/8, and ::1."""
    assert clear_host(url) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://logs.example.com/live", "logs.example.com"),
        ("http://10.0.0.7:80", "10.0.0.7"),
        ("ws://0.0.0.0:4566", "0.0.0.0"),
        ("ws://[fe80::1]/live", "fe80::1"),
        ("ws://127.0.0.1@evil.test/live", "evil.test"),
        ("ws://localhost.evil.test", "localhost.evil.test"),
        ("ws://x.localhost", "x.localhost"),
        ("ws://host.docker.internal:4566", "host.docker.internal"),
        ("ws://127.1", "127.1"),
    ],
)
def test_unencrypted_remote_address_is_named(url: str, host: str) -> None:
    """Also names that only look local: their resolution is unknown."""
    assert clear_host(url) == host


@given(st.ip_addresses(v=4))
def test_only_loopback_addresses_are_local(address: object) -> None:
    """Of all addresses."""
    assert (clear_host(f"ws://{address}/live") is None) == str(address).startswith("127.")
