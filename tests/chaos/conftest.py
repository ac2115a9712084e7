"""A local cloud with a strict gateway in front, and what goes wrong in it."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.conftest import PATIENCE_S, Agent, Cloud, Containers, cloud, containers, engine

from logferry_cli.api import Api
from logferry_cli.live import Following, Timing
from logferry_cli.problems import Problem
from logferry_cli.reader import Lost, Run
from logferry_cli.target import Target

__all__ = ["cloud", "containers", "engine"]

ROOT = Path(__file__).resolve().parents[2]
QUICK = Timing(ping=3.0, silence=12.0, answer=4.0, first_backoff=0.2, max_backoff=2.0, settled=2.0)
"""A viewer that notices within seconds what it may take half a minute to notice elsewhere."""


class GatewayProcess:
    """A strict gateway in a process of its own."""

    def __init__(self, upstream: str, *words: str) -> None:
        command = [sys.executable, "-m", "tests.support.gateway", "--upstream", upstream, "--template", "template.yaml"]
        self._process = subprocess.Popen([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready, "the gateway did not start"
        self.addresses: dict[str, str] = json.loads(ready)
        self.url = self.addresses["url"]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def faults(self, **shares: float) -> None:
        """What goes wrong from now on; nothing without arguments."""
        httpx.put(f"{self.url}/_gateway/faults", json=shares, timeout=60).raise_for_status()

    def state(self) -> dict[str, Any]:
        """What happened so far."""
        return dict(httpx.get(f"{self.url}/_gateway", timeout=60).json())

    def cut(self) -> None:
        """Cuts every connection, without a close frame."""
        httpx.post(f"{self.url}/_gateway/cut", timeout=60).raise_for_status()

    def stop(self) -> None:
        """Ends it; the functions then lead to the emulator again."""
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="module")
def gateway(cloud: Cloud) -> Iterator[GatewayProcess]:
    """A strict gateway that the functions' DynamoDB calls go through as well."""
    process = GatewayProcess(cloud.state.endpoint_url, "--tables", "--concurrency", "2")
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def strict_cloud(cloud: Cloud, gateway: GatewayProcess) -> Iterator[Cloud]:
    """The cloud, with the addresses of the gateway in front of it. At the end nothing goes wrong any more."""
    direct = cloud.state
    http_url = direct.http_url.replace(direct.endpoint_url, gateway.url)
    state = direct.model_copy(
        update={
            "agents_url": gateway.addresses["Agents"],
            "viewers_url": gateway.addresses["Viewers"],
            "http_url": http_url,
        }
    )
    try:
        yield replace(cloud, state=state)
    finally:
        gateway.faults()


@pytest.fixture
def make_agent(strict_cloud: Cloud, containers: Containers, tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Starts agents for this test's containers, through the gateway."""
    made: list[Agent] = []

    def make(**settings: str) -> Agent:
        agent = Agent(strict_cloud, tmp_path, containers.prefix, **settings)
        made.append(agent)
        agent.start()
        return agent

    try:
        yield make
    finally:
        for agent in made:
            agent.stop()


@dataclass
class Seen:
    """What a reader was given of a job."""

    job: str
    after: int = 0
    entries: list[tuple[int, str, str]] = field(default_factory=list)
    """Sequence, stream and text."""

    @property
    def position(self) -> int:
        """The last sequence."""
        return self.entries[-1][0] if self.entries else self.after

    @property
    def ended(self) -> bool:
        """Whether the end of the container's run is among it."""
        return bool(self.entries) and self.entries[-1][1] == "s" and '"exited"' in self.entries[-1][2]

    def take(self, run: Run) -> None:
        """Entries were handed out."""
        columns = run.columns
        self.entries += zip(range(run.first, run.last + 1), columns.streams, columns.texts, strict=True)


async def events(cloud: Cloud, seen: Seen) -> AsyncIterator[object]:
    """What `logferry tail` would be handed: it is started again, after what it has, when it gives up."""
    while True:
        async with Api(Target(cloud.state.http_url, cloud.state.viewers_url, cloud.keys.viewer_key)) as api:
            try:
                async with Following(api, seen.job, after=seen.position, timing=QUICK) as following:
                    async for event in following.events():
                        assert not isinstance(event, Lost), f"stored entries were taken for lost: {event}"
                        if isinstance(event, Run):
                            seen.take(event)
                        yield event
            except Problem:
                await asyncio.sleep(0.2)


async def read_to_the_end(cloud: Cloud, job: str) -> Seen:
    """Reads a job until its container's end."""
    seen = Seen(job)
    async for _event in events(cloud, seen):
        if seen.ended:
            return seen
    raise AssertionError


async def visit(cloud: Cloud, jobs: list[str], over: asyncio.Event, rng: random.Random) -> list[Seen]:
    """Comes and goes: reads some job from somewhere for a while, then another."""
    visits = []
    while not over.is_set():
        seen = Seen(rng.choice(jobs), rng.choice((0, 0, rng.randrange(50))))
        visits.append(seen)
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.uniform(0.3, 3.0)):
                async for _event in events(cloud, seen):
                    pass
    return visits


def within_patience() -> asyncio.Timeout:
    """A generous limit."""
    return asyncio.timeout(PATIENCE_S)
