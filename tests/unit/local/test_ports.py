"""Test that ports are kept from one `up` to the next."""

from __future__ import annotations

import socket
from pathlib import Path

from logferry_local.ports import choose_ports, free_port, is_free


def test_folder_keeps_its_ports(tmp_path: Path) -> None:
    """The deployed stack names them, so they change only when necessary."""
    assert choose_ports(tmp_path) == choose_ports(tmp_path)


def test_ports_of_a_folder_are_distinct() -> None:
    """The kernel may offer the same free port twice."""
    first = free_port()
    assert free_port(frozenset({first})) != first


def test_port_taken_by_others_is_replaced(tmp_path: Path) -> None:
    """The other ports stay."""
    before = choose_ports(tmp_path)
    with socket.create_server(("127.0.0.1", before.cloud)):
        after = choose_ports(tmp_path)
    assert after.cloud != before.cloud
    assert (after.viewer, after.metrics) == (before.viewer, before.metrics)


def test_port_held_by_our_process_is_kept(tmp_path: Path) -> None:
    """An `up` beside a running cloud finds its port used by the cloud itself."""
    before = choose_ports(tmp_path)
    with socket.create_server(("127.0.0.1", before.cloud)):
        assert choose_ports(tmp_path, frozenset({"cloud"})) == before


def test_port_with_a_listener_is_not_free() -> None:
    """Only the loopback address counts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
