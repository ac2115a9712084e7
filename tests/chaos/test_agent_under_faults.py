"""Run the agent on real engines of both generations with real containers, against an unreliable cloud.

The cloud is `tests/support/fake_ingest.py`, which keeps the wire's contract as the functions do and is fast enough for
the containers' output. test_all_faults.py does the same with the functions themselves and with readers.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.agents import AgentProcess
from tests.support.engines import machine_host
from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.support.newer_engine import copy_image, newer_engine, unavailable_reason

from logferry_local.checkout import find_checkout
from logferry_local.images import make_sample_image
from logferry_protocol.events import Gap, decode_event

pytestmark = [pytest.mark.engine, pytest.mark.slow]

IMAGE = "logferry-test-storm"
NOISE = {"drop_answer": 0.05, "ignore": 0.03, "repeat_answer": 0.1, "delay_s": 0.3, "unreadable": 0.02}
"""Acknowledgements lost, repeated, late (and so out of order); envelopes lost."""


@dataclass
class Machine:
    """An engine with this test's containers."""

    host: str
    prefix: str

    def docker(self, *words: str) -> str:
        """Run docker on it."""
        command = ["docker", "-H", self.host, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def agent(self, sink: FakeIngestProcess, folder: Path, **settings: str) -> AgentProcess:
        """Return an agent for its containers."""
        made = AgentProcess(sink, folder, f"{self.prefix}-*", **settings)
        made.environment["DOCKER_HOST"] = self.host
        return made

    def run(self, number: int, script: str) -> str:
        """Start a container and return its id."""
        words = ("run", "-d", "--net=none", "--name", f"{self.prefix}-{number}", IMAGE, "sh", "-c", script)
        return self.docker(*words)


@pytest.fixture(scope="module", params=["machine", "newer"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Provide the machine's engine, and a newer one beside it."""
    make_sample_image(find_checkout(), IMAGE)
    try:
        if request.param == "machine":
            yield machine_host()
            return
        if reason := unavailable_reason():
            pytest.skip(reason)
        with newer_engine() as host:
            copy_image(host, IMAGE)
            yield host
    finally:
        subprocess.run(["docker", "rmi", "-f", IMAGE], check=False, capture_output=True)


@pytest.fixture
def machine(engine: str) -> Iterator[Machine]:
    made = Machine(engine, f"lf-storm-{secrets.token_hex(4)}")
    try:
        yield made
    finally:
        for container in made.docker("ps", "-aq", "--filter", f"name={made.prefix}-").split():
            made.docker("rm", "-fv", container)


def gaps_of(entries: list[tuple[int, int, str, str]]) -> list[Gap]:
    events = [decode_event(text) for _, _, stream, text in entries if stream == "s"]
    return [event for event in events if isinstance(event, Gap)]


def assert_whole(sink: FakeIngestProcess, job: str, lines: int, streams: str = "oe") -> None:
    """Check sequences 1..n; every line of each stream once and in order; a start, an end, and no gap."""
    entries = sink.entries(job)
    assert [sequence for sequence, *_ in entries] == list(range(1, lines + 3))
    assert gaps_of(entries) == []
    for number, stream in enumerate(streams):
        found = [text for _, _, letter, text in entries if letter == stream]
        assert found == [f"line {index}" for index in range(1, lines + 1) if index % len(streams) == number]


@pytest.mark.timeout(1800)
def test_thirty_containers_are_exact_while_the_agent_is_killed_and_disconnected(
    machine: Machine, tmp_path: Path
) -> None:
    """1,000 lines a second in total for two minutes; SIGKILL every 5 s, the WebSocket cut every 7 s."""
    jobs, lines = 30, 4_000
    write = "if [ $((i % 2)) -eq 1 ]; then echo line $i >&2; else echo line $i; fi"
    script = f"i=1; while [ $i -le {lines} ]; do {write}; i=$((i + 1)); [ $((i % 33)) -eq 0 ] && sleep 1; done"
    with FakeIngestProcess() as sink:
        sink.faults(**NOISE)
        began = time.monotonic()
        containers = [machine.run(number, script) for number in range(jobs)]
        agent = machine.agent(sink, tmp_path / "spool")
        kills = cuts = 0
        cut_at = time.monotonic() + 7

        def done() -> bool:
            tips = sink.counts()["jobs"]
            return all(tips.get(container, 0) >= lines + 2 for container in containers)

        with agent:
            while not done():
                stored, die_at = sink.counts().get("entries", 0), time.monotonic() + 5
                # On a busy machine a start may take longer than five seconds; let it advance.
                while not done() and (time.monotonic() < die_at or sink.counts().get("entries", 0) == stored):
                    time.sleep(0.2)
                    agent.require_alive()
                    if time.monotonic() >= cut_at:
                        sink.cut()
                        cuts, cut_at = cuts + 1, time.monotonic() + 7
                agent.end(signal.SIGKILL)
                kills += 1
                agent.start()
        counts = sink.counts()
        took = time.monotonic() - began
        told = {name: count for name, count in counts.items() if name not in {"jobs", "last_stored"}}
        print(f"{took:.0f} s, killed {kills} times, cut {cuts} times, {told}")
        assert kills >= 15
        for container in containers:
            assert_whole(sink, container, lines)


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Provide two file systems of 4 MiB."""
    folders = tmp_path / "block", tmp_path / "drop"
    mounted = []
    try:
        for folder in folders:
            folder.mkdir()
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False)
            if done.returncode:
                pytest.skip("mounting a file system needs root")
            mounted.append(folder)
        yield folders
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", folder], check=True)


AWAY_S = 300.0


@pytest.mark.timeout(1800)
def test_spool_of_four_megabytes_survives_five_minutes_without_a_cloud(
    machine: Machine, small_disks: tuple[Path, Path]
) -> None:
    """`block` loses nothing; gap entries count what `drop-oldest` loses. The agent is killed once."""
    noise = 'for (k = 0; k < 12; k++) s = s sprintf("%08x", rand() * 4294967295)'
    pause = 'if (i % 100 == 0) { fflush(); system("sleep 0.25") }'
    loop = f'for (i = 1; i <= 120000; i++) {{ s = ""; {noise}; print i, s; {pause} }}'
    with FakeIngestProcess() as block_sink, FakeIngestProcess() as drop_sink:
        containers = [machine.run(number, f"awk 'BEGIN {{ srand({number}); {loop} }}'") for number in range(2)]
        block = machine.agent(block_sink, small_disks[0], spool_policy="block")
        drop = machine.agent(drop_sink, small_disks[1], spool_policy="drop-oldest")
        sinks = (block_sink, drop_sink)
        with block, drop:
            wait_until(lambda: all(sink.tip(job) > 100 for sink in sinks for job in containers), 120)
            for sink in sinks:
                sink.faults(keys=[])
                sink.cut()
            for half in range(2):
                until = time.monotonic() + AWAY_S / 2
                while time.monotonic() < until:
                    time.sleep(1.0)
                    block.require_alive()
                    drop.require_alive()
                if half == 0:
                    for agent in (block, drop):
                        agent.end(signal.SIGKILL)
                        agent.start()
            for container in containers:
                machine.docker("stop", "-t", "1", container)
            for sink in sinks:
                sink.faults()
            for sink in sinks:
                wait_until(lambda sink=sink: all(ended(sink, job) for job in containers), 600, 1.0)
        for job in containers:
            # What the engine has written, according to the engine.
            written = machine.docker("logs", job).splitlines()
            kept = {sink: [text for _, _, letter, text in sink.entries(job) if letter == "o"] for sink in sinks}
            assert kept[block_sink] == written
            assert gaps_of(block_sink.entries(job)) == []
            gaps = gaps_of(drop_sink.entries(job))
            missing = sum(gap.count or 0 for gap in gaps)
            print(f"{len(written)} lines, {len(kept[drop_sink])} kept by drop-oldest, {len(gaps)} gaps of {missing}")
            assert missing > 0
            assert {gap.reason for gap in gaps} == {"spool_full"}
            assert len(kept[drop_sink]) + missing == len(written)
            assert is_in_order(kept[drop_sink], written)


def ended(sink: FakeIngestProcess, job: str) -> bool:
    """Report whether the end of the run is stored."""
    entries = sink.entries(job)
    return bool(entries) and entries[-1][2] == "s" and '"exited"' in entries[-1][3]


def is_in_order(some: list[str], everything: list[str]) -> bool:
    """Report whether these are a part of all, in order, without repeats."""
    left = iter(everything)
    return all(any(text == other for other in left) for text in some)
