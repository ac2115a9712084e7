"""Run a strict gateway as a process, as tests use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]


class GatewayProcess:
    """A strict gateway in its own process."""

    def __init__(self, upstream: str, *words: str, access_key: str) -> None:
        command = [sys.executable, "-m", "tests.support.gateway", "--upstream", upstream, "--template", "template.yaml"]
        self._process = subprocess.Popen(
            [*command, *words],
            cwd=ROOT,
            env={**os.environ, "AWS_ACCESS_KEY_ID": access_key},
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready, "the gateway did not start"
        self.addresses: dict[str, str] = json.loads(ready)
        self.url = self.addresses["url"]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def faults(self, **shares: float) -> None:
        """Set the faults from now on; none without arguments."""
        httpx.put(f"{self.url}/_gateway/faults", json=shares, timeout=60).raise_for_status()

    def read_policies(self) -> None:
        """Let it read the functions' policies again."""
        httpx.post(f"{self.url}/_gateway/policies", timeout=60).raise_for_status()

    def state(self) -> dict[str, Any]:
        """Return what happened so far."""
        return dict(httpx.get(f"{self.url}/_gateway", timeout=60).json())

    def cut(self, api: str | None = None) -> None:
        """Cut every connection, or those of one API (`Viewers`), without a close frame."""
        httpx.post(f"{self.url}/_gateway/cut", params={"api": api} if api else None, timeout=60).raise_for_status()

    def stop(self) -> None:
        """Stop it, and point the functions to the emulator again."""
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
