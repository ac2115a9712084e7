"""Start many containers from a separate process, so that starting them does not slow the readers under test.

`python -m tests.support.start_containers HOST PREFIX COUNT AT_ONCE SCRIPT` starts COUNT containers that are removed as
soon as they exit, AT_ONCE at a time (1: back to back); HOST is empty for the machine's own engine.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import docker
from tests.support.engines import IMAGE


def start(host: str | None, prefix: str, count: int, at_once: int, script: str) -> None:
    """Start them, and wait until all are started."""
    command = [sys.executable, "-m", "tests.support.start_containers", host or "", prefix]
    subprocess.run([*command, str(count), str(at_once), script], check=True)


def main() -> None:
    host, prefix, count, at_once, script = sys.argv[1:]
    client = docker.DockerClient(base_url=host, timeout=120) if host else docker.from_env(timeout=120)

    def one(number: int) -> None:
        client.containers.run(
            IMAGE,
            ["sh", "-c", script],
            name=f"{prefix}{number}",
            detach=True,
            auto_remove=True,
            network_mode="none",
        )

    with ThreadPoolExecutor(int(at_once)) as pool:
        list(pool.map(one, range(int(count))))


if __name__ == "__main__":
    main()
