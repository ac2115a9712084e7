"""`make bench-agent-steady`: measure the agent's cost for one container that writes steadily, one line at a time.

The container writes a line, waits for a tenth of a millisecond (as exactly as the machine can), and writes the next: a
few thousand separate lines a second. For the file and the api source it prints the agent's CPU share, and the engine's
for the same lines.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from bench.agent.idle import LINE, engine_pid
from bench.agent.installed_agent import agent, cpu_seconds, docker, make_python
from tests.support.fake_ingest import FakeIngestProcess, wait_until

NAME = f"logferry-bench-steady-{os.getpid()}"
WRITES = f'n=0; while :; do n=$((n+1)); echo "{LINE} n=$n"; usleep 100; done'


def written() -> int:
    """Return the number of lines so far, according to the last one."""
    return int(docker("logs", "--tail", "1", NAME).rpartition("n=")[2])


def measure(python: Path, image: str, source: str, seconds: float) -> dict[str, float | str]:
    """Measure one source's cost."""
    with (
        tempfile.TemporaryDirectory(prefix="logferry-bench-") as folder,
        FakeIngestProcess(check=False) as sink,
        agent(python, sink.url, folder, {"INCLUDE_NAMES": NAME, "SOURCE": source}) as process,
    ):
        docker("run", "-d", "--network", "none", "--name", NAME, image, "sh", "-c", WRITES)
        try:
            wait_until(lambda: len(sink.lives()["lives"]) == 1, 60, 0.2)
            time.sleep(2)
            began = time.monotonic(), written(), cpu_seconds(process.pid), cpu_seconds(engine_pid())
            time.sleep(seconds)
            ended = time.monotonic(), written(), cpu_seconds(process.pid), cpu_seconds(engine_pid())
        finally:
            docker("rm", "-f", NAME)
    took, lines, own, engine = (after - before for before, after in zip(began, ended, strict=True))
    print(
        f"{source:<5}{lines / took:8,.0f} lines/s   agent {own / took:6.1%} of a CPU   engine {engine / took:6.1%}"
        f"   {own / engine:.2f} x the engine",
        flush=True,
    )
    return {"source": source, "lines_per_s": lines / took, "cpu": own / took, "engine_cpu": engine / took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--image", default="logferry-bench")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logferry-bench-") as folder:
        python = make_python(Path(folder))
        found = [measure(python, arguments.image, source, arguments.seconds) for source in ("file", "api")]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
