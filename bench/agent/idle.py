"""`make bench-agent-idle`: measure the agent's cost while little happens, and whether its memory stays stable.

CONTAINERS containers write nothing for a third of the time; then ACTIVE of them write RATE lines a second each. The
agent reads the real engine's files and ships to a sink in another process. Every ten seconds it prints the agent's
memory and CPU share, and the engine's. At the end it prints the medians of both phases, and the slope of the memory
over the active phase (without its first fifth, while caches fill).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.agent.installed_agent import agent, cpu_seconds, docker, make_python, memory_kib
from tests.support.fake_ingest import FakeIngestProcess, wait_until

NAME = f"logferry-bench-idle-{os.getpid()}-"
EVERY_S = 10.0
LINE = "2026-11-25T20:00:00Z level=info msg='a line such as a quiet service writes' path=/api/v1/items/17 took=12ms"


@contextmanager
def containers(image: str, count: int) -> Iterator[list[str]]:
    """Run this many idle containers, and yield their names."""
    names = [f"{NAME}{number}" for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        try:
            list(
                pool.map(
                    lambda name: docker("run", "-d", "--network", "none", "--name", name, image, "sleep", "86400"),
                    names,
                )
            )
            yield names
        finally:
            list(pool.map(lambda name: docker("rm", "-f", name), names))


def make_active(names: list[str], rate: int) -> None:
    """Make these containers write from now on, into the log of their first process."""
    loop = f'while :; do for i in $(seq {rate}); do echo "{LINE} n=$i"; done > /proc/1/fd/1; sleep 1; done'
    for name in names:
        docker("exec", "-d", name, "sh", "-c", loop)


def engine_pid() -> int:
    return int(Path("/var/run/docker.pid").read_text())


class ResourceSampler:
    """Sample the agent and the engine at a fixed interval."""

    def __init__(self, agent_pid: int, sink: FakeIngestProcess) -> None:
        self._agent, self._engine, self._sink = agent_pid, engine_pid(), sink
        self._began = time.monotonic()
        self.rows: list[dict[str, float]] = []

    def sample(self, seconds: float, part: str) -> list[dict[str, float]]:
        """Sample for this many seconds, and return the samples."""
        until, first = time.monotonic() + seconds, len(self.rows)
        before = self._used()
        while time.monotonic() < until:
            time.sleep(EVERY_S)
            now = self._used()
            row = {
                "s": now[0] - self._began,
                "rss_mb": memory_kib(self._agent, "VmRSS") / 1024,
                "cpu": (now[1] - before[1]) / (now[0] - before[0]),
                "engine_cpu": (now[2] - before[2]) / (now[0] - before[0]),
                "entries": self._sink.counts().get("entries", 0),
            }
            before = now
            self.rows.append(row)
            print(
                f"{part:<7}{row['s']:7.0f} s  memory {row['rss_mb']:6.1f} MB  agent {row['cpu']:6.2%} of a CPU  "
                f"engine {row['engine_cpu']:6.2%}  {row['entries']:,.0f} entries stored",
                flush=True,
            )
        return self.rows[first:]

    def _used(self) -> tuple[float, float, float]:
        return time.monotonic(), cpu_seconds(self._agent), cpu_seconds(self._engine)


def summary(part: str, rows: list[dict[str, float]]) -> dict[str, float | str]:
    """Print and return the medians of one phase."""
    middle = {key: statistics.median(row[key] for row in rows) for key in ("rss_mb", "cpu", "engine_cpu")}
    memory, cpu, engine = middle["rss_mb"], middle["cpu"], middle["engine_cpu"]
    print(f"{part}: memory {memory:.1f} MB, agent {cpu:.2%} of a CPU, engine {engine:.2%}")
    return {"part": part, **middle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--containers", type=int, default=200)
    parser.add_argument("--active", type=int, default=50)
    parser.add_argument("--rate", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--image", default="logferry-bench")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    with (
        tempfile.TemporaryDirectory(prefix="logferry-bench-") as folder,
        containers(arguments.image, arguments.containers) as names,
        FakeIngestProcess(check=False) as sink,
    ):
        python = make_python(Path(folder) / "python")
        with agent(python, sink.url, f"{folder}/spool", {"INCLUDE_NAMES": f"{NAME}*"}) as process:
            wait_until(lambda: len(sink.lives()["lives"]) == len(names), 300, 1.0)
            sampler = ResourceSampler(process.pid, sink)
            idle = sampler.sample(seconds / 3, "idle")
            make_active(names[: arguments.active], arguments.rate)
            active = sampler.sample(seconds * 2 / 3, "active")
            parts = [summary("idle", idle), summary("active", active)]
            settled = active[len(active) // 5 :]
            slope = statistics.linear_regression(
                [row["s"] for row in settled], [row["rss_mb"] for row in settled]
            ).slope
            peak = memory_kib(process.pid, "VmHWM") / 1024
            print(f"slope of the memory while active: {slope * 3600:+.2f} MB an hour; peak {peak:.1f} MB")
            print(json.dumps({"parts": parts, "slope_mb_per_hour": slope * 3600, "peak_mb": peak}))


if __name__ == "__main__":
    main()
