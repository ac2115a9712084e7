"""`make bench-agent-hostile`: measure how long hostile lines of one container delay another container's lines.

With `redact=all` (or the value of `--redact`), one container writes 60 lines of 16 KiB at once that are expensive for
one of the patterns; another writes a line every 20 ms. For each kind of line it prints how much later than usual the
other's latest line reached the sink. The target is less than 200 ms. `plain` is for comparison: as many lines without
any match, so that redaction has no part.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench.agent.installed_agent import agent, docker, make_python
from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.unit.agent.core.redaction.test_redaction import HOSTILE

NAME = f"logferry-bench-hostile-{os.getpid()}"
LINES = 60
LINE_BYTES = 16_383
AIM_S = 0.2
KINDS = {"plain": "x", **HOSTILE}
WRITES = "while :; do echo tick; usleep 20000; done"


def lateness(sink: FakeIngestProcess, container: str, since: float) -> list[float]:
    """Return the delay of each line of the steady container written since then, in seconds."""
    return [late for at, late in sink.lateness(container) if at >= since]


def measure(sink: FakeIngestProcess, image: str, steady: str, unit: str) -> tuple[float, float]:
    """Return the usual delay, and the longest while hostile lines arrive, in seconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".log") as file:
        file.write(((unit * LINE_BYTES)[:LINE_BYTES] + "\n") * LINES)
        file.flush()
        os.chmod(file.name, 0o644)
        began = time.time()
        time.sleep(2)
        usual = statistics.median(lateness(sink, steady, began))
        began = time.time()
        options = ["-d", "--network", "none", "--name", f"{NAME}-x", "-v", f"{file.name}:/x:ro"]
        hostile = docker("run", *options, image, "cat", "/x")
        try:
            wait_until(lambda: sink.tip(hostile.strip()) >= LINES, 60, 0.1)
            time.sleep(0.5)
            return usual, max(lateness(sink, steady, began))
        finally:
            docker("rm", "-f", f"{NAME}-x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="logferry-bench")
    parser.add_argument("--redact", default="all")
    parser.add_argument("--source", default="file")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated names of kinds")
    arguments = parser.parse_args()
    found: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as environment,
        tempfile.TemporaryDirectory() as folder,
        FakeIngestProcess() as sink,
    ):
        python = make_python(Path(environment))
        settings = {"INCLUDE_NAMES": f"{NAME}*", "SOURCE": arguments.source, "REDACT": arguments.redact}
        with agent(python, sink.url, folder, {**settings, "FLUSH_INTERVAL": "0"}):
            options = ["-d", "--network", "none", "--name", NAME]
            steady = docker("run", *options, arguments.image, "sh", "-c", WRITES).strip()
            try:
                wait_until(lambda: bool(sink.lives()["lives"]), 60, 0.2)
                sink.watch(ttl=7_200_000)
                wait_until(lambda: sink.tip(steady) > 10, 60, 0.2)
                for kind in arguments.kinds.split(","):
                    usual, worst = measure(sink, arguments.image, steady, KINDS[kind])
                    found[kind] = worst - usual
                    mark = "" if found[kind] < AIM_S else "   OVER"
                    late, often = found[kind] * 1000, usual * 1000
                    print(f"{kind:<16} {late:7.0f} ms later than usual ({often:.0f} ms){mark}", flush=True)
            finally:
                docker("rm", "-f", NAME)
    print(json.dumps({kind: round(seconds, 3) for kind, seconds in found.items()}))


if __name__ == "__main__":
    main()
