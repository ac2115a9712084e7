"""`make bench-agent`: measure how fast the agent ships a backlog that a real container has written.

A container writes LINES lines of 60 to 300 bytes. Then these alternate, so that a busy moment affects all alike:

- agent: from its start to the last acknowledgement by a sink in another process, spool on, by the file and the api
  source;
- the same with redaction (`--redact`, by default all of it), once more for each source;
- curl:  `curl --unix-socket` reads the same log from the engine's API into /dev/null.

It prints lines a second (medians), the ratios to curl and to the same source without redaction, and the peak memory of
the agent's processes together. The agent has the packages of its image (bench/agent/installed_agent.py), and its start
counts: interpreter, imports, engine, listing, connection.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench.agent.installed_agent import agent, make_python, peak_kib
from tests.support.fake_ingest import FakeIngestProcess, wait_until

NAME = "logferry-bench-agent"
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


def make_lines(path: Path, count: int) -> None:
    """Write access log lines of 60 to 300 bytes with realistic repetition.

    Few addresses and paths often, many rarely.
    """
    rng = random.Random(1)
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5",
        "kube-probe/1.29",
        "curl/8.5.0",
    ]
    paths = [f"/api/v1/{noun}/{number}" for noun in ("items", "users", "orders", "sessions") for number in range(50)]
    began = 1_764_000_000
    with path.open("w") as file:
        for number in range(count):
            at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(began + number // 200))
            text = (
                f"10.0.{int(rng.expovariate(0.1)) % 256}.{rng.randrange(256)} - - [{at}] "
                f'"GET {rng.choice(paths)}?page={rng.randrange(100)} HTTP/1.1" {rng.choice((200, 200, 200, 304, 404))} '
                f'{rng.randrange(10**5)} "-" "{rng.choice(agents)}" {rng.randrange(10**4)}us'
            )
            file.write(text[:300] + "\n")


def write_log(image: str, lines: Path, count: int) -> str:
    """Run a container that writes the lines and exits; return its id."""
    remove()
    command = ["docker", "run", "-d", "--name", NAME, "--log-driver", "json-file", "-v", f"{lines}:/lines:ro", image]
    container = subprocess.check_output([*command, "cat", "/lines"], text=True).strip()
    subprocess.run(["docker", "wait", container], check=True, stdout=subprocess.DEVNULL)
    size = subprocess.check_output(["docker", "inspect", "-f", "{{.LogPath}}", container], text=True).strip()
    print(
        f"{count:,} lines, {lines.stat().st_size / count:.0f} bytes each, log file {os.path.getsize(size) / 1e6:.0f} MB"
    )
    return container


def remove() -> None:
    subprocess.run(["docker", "rm", "-f", NAME], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def ship(python: Path, container: str, count: int, source: str, redact: str = "") -> tuple[float, int]:
    """Return the seconds from the agent's start to the last acknowledgement, and its processes' peak memory in KiB."""
    with tempfile.TemporaryDirectory(prefix="logferry-bench-") as folder, FakeIngestProcess(check=False) as sink:
        settings = {"INCLUDE_NAMES": NAME, "START_AT": "beginning", "SOURCE": source, "REDACT": redact}
        began = time.time()
        with agent(python, sink.url, folder, settings) as process:
            # Rarely, as asking also uses the two processors; the sink recorded the time.
            wait_until(lambda: sink.tip(container) >= count, 300, 0.5)
            return sink.counts()["last_stored"] - began, peak_kib(process.pid)


def read_with_curl(container: str) -> float:
    """Return the seconds that curl takes to read the log from the engine's API."""
    url = f"http://docker/v1.41/containers/{container}/logs?stdout=1&stderr=1&timestamps=1"
    began = time.time()
    subprocess.run(["curl", "-s", "--unix-socket", SOCKET, "-o", "/dev/null", url], check=True)
    return time.time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", default="logferry-bench")
    parser.add_argument("--sources", default="file,api")
    parser.add_argument(
        "--redact", default="all", help="kinds to redact in the runs with redaction; empty: no such runs"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    count, results = arguments.lines, {}
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines"
        make_lines(lines, count)
        container = write_log(arguments.image, lines, count)
    environment = tempfile.TemporaryDirectory(prefix="logferry-bench-")
    try:
        python = make_python(Path(environment.name))
        sources = arguments.sources.split(",")
        redacting = [f"{source} redact={arguments.redact}" for source in sources] if arguments.redact else []
        seconds: dict[str, list[float]] = {name: [] for name in ("curl", *sources, *redacting)}
        memory: dict[str, int] = {}
        for turn in range(arguments.rounds):
            for name, times in seconds.items():
                if name == "curl":
                    took = read_with_curl(container)
                else:
                    source, _, redact = name.partition(" redact=")
                    took, peak = ship(python, container, count, source, redact)
                    memory[name] = max(memory.get(name, 0), peak)
                times.append(took)
                print(f"round {turn + 1}: {name:<16}{took:7.2f} s {count / took:12,.0f} lines/s", flush=True)
        medians = {name: count / statistics.median(took) for name, took in seconds.items()}
        for name, speed in medians.items():
            ratio = speed / medians["curl"]
            of_memory = f", peak memory {memory[name] / 1024:.0f} MB" if name in memory else ""
            results[name] = {"lines_per_s": round(speed), "ratio": round(ratio, 2), "peak_kib": memory.get(name)}
            beside = ""
            if name in redacting:
                share = speed / medians[name.partition(" ")[0]]
                results[name]["beside_plain"] = round(share, 2)
                beside = f", {share:.2f} x without redaction"
            print(f"{name:<16} {speed:12,.0f} lines/s   {ratio:5.2f} x curl{of_memory}{beside}")
    finally:
        environment.cleanup()
        remove()
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
