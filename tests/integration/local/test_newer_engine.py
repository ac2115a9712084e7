"""Test the second engine that long tests use: it works and leaves the first one alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.newer_engine import copy_image, newer_engine, unavailable_reason

from logferry_local import images
from logferry_local.checkout import find_checkout

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(unavailable_reason() is not None, reason=unavailable_reason() or ""),
]
IMAGE = "lf-newer-engine"


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def test_newer_engine_runs_beside_the_machines_own() -> None:
    """Version 26 or later, with json-file logs in its own data root; it leaves nothing behind."""
    networks = docker("network", "ls", "--quiet")
    images.make_sample_image(find_checkout(), IMAGE)
    try:
        with newer_engine() as host:
            assert int(docker("-H", host, "version", "--format", "{{.Server.Version}}").split(".")[0]) >= 26
            copy_image(host, IMAGE)
            identity = docker("-H", host, "run", "--detach", IMAGE, "echo", "hello")
            docker("-H", host, "wait", identity)
            assert docker("-H", host, "logs", identity) == "hello"
            log = Path(docker("-H", host, "inspect", "--format", "{{.LogPath}}", identity))
            assert '"log":"hello\\n"' in log.read_text()
    finally:
        docker("rmi", "--force", IMAGE)
    assert not log.exists()
    assert docker("network", "ls", "--quiet") == networks
    assert not Path(host.removeprefix("unix://")).exists()
