"""Test `edge/health.py`: one agent's pages in one folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from logferry_agent.edge.health import SOCKET_NAME, FolderTakenError, HealthServer, ask


@contextmanager
def serving(folder: Path, word: bytes) -> Iterator[None]:
    health = HealthServer(folder, None, {"/readyz": lambda: (503, "text/plain", word)})
    health.start()
    try:
        yield
    finally:
        health.stop()


def test_second_agent_does_not_take_the_first_ones_socket(tmp_path: Path) -> None:
    """It is refused with advice, also while the first one is not ready; the first one still answers."""
    with serving(tmp_path, b"first"):
        with pytest.raises(FolderTakenError, match="its own folder"):
            HealthServer(tmp_path, None, {})
        assert ask(tmp_path, "/readyz") == (503, b"first")


def test_socket_of_a_killed_agent_is_replaced(tmp_path: Path) -> None:
    """Nobody answers there any more."""
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(tmp_path / SOCKET_NAME))
    left.listen()
    left.close()
    with serving(tmp_path, b"next"):
        assert ask(tmp_path, "/readyz") == (503, b"next")


def test_status_is_not_served_on_a_port(tmp_path: Path) -> None:
    """It names every container, and any user of the host can reach a port."""
    pages = {path: lambda: (200, "text/plain", b"page") for path in ("/status", "/metrics")}
    health = HealthServer(tmp_path, "127.0.0.1:0", pages)
    health.start()
    try:
        answers = [httpx.get(f"http://127.0.0.1:{health.port}{path}").status_code for path in pages]
        assert answers == [404, 200]
        assert ask(tmp_path, "/status") == (200, b"page")
    finally:
        health.stop()
