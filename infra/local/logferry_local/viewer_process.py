"""Configure and start the local viewer: its configuration, caching, and the server's process (viewer_server.py)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from logferry_local.checkout import Checkout
from logferry_local.polling import wait_until
from logferry_local.ports import is_free
from logferry_state.errors import StepFailedError
from logferry_state.private_files import UMASK
from logferry_state.processes import ProcessTable, is_running, spawn
from logferry_state.state import ProcessIdentity

ROLE = "viewer"
# Files with a hash in their name never change.
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


def config(live_url: str) -> dict[str, object]:
    """Return the configuration that the pages load first: API, WebSocket, and how to sign in (by viewer key)."""
    return {"api": "/api", "live": live_url, "auth": {"kind": "key"}}


def command(checkout: Checkout, port: int, http_url: str, live_url: str) -> list[str | Path]:
    """Return the command line of the server's process."""
    words: list[str | Path] = [sys.executable, "-m", "logferry_local.viewer_server", "--port", str(port)]
    words += [
        "--files",
        checkout.viewer_files,
        "--template",
        checkout.template,
        "--http-url",
        http_url,
        "--live-url",
        live_url,
    ]
    return words


def start(words: Sequence[str | Path], folder: Path, port: int) -> ProcessIdentity:
    """Start the server and wait until it listens.

    Raises:
        StepFailedError: It does not start.
    """
    log = folder / "logs" / "viewer.log"
    process = spawn(words, log=log, env=os.environ, umask=UMASK)
    ProcessTable(folder).add(ROLE, process)
    wait_until(lambda: not is_free(port) or not is_running(process), timeout_s=60)
    if not is_running(process):
        raise StepFailedError("The viewer's server did not start.", f"See its output in {log}.")
    return process
