"""Inject faults into a local cloud behind a strict gateway, and read on through them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.e2e.conftest import PATIENCE_S, Agent, Cloud, Containers, cloud, containers, engine
from tests.support.gateway.process import GatewayProcess

from logferry_cli.api import Api
from logferry_cli.live_client import LiveClient, Timing
from logferry_cli.problems import Problem
from logferry_cli.reader import Lost, Run
from logferry_cli.target import Target
from logferry_protocol.backoff import Backoff

__all__ = ["cloud", "containers", "engine"]

ROOT = Path(__file__).resolve().parents[2]
QUICK = Timing(ping=3.0, silence=12.0, answer=4.0, backoff=Backoff(0.2, 2.0), settled=2.0)
"""Timing of a viewer that notices within seconds what may take half a minute otherwise."""


@pytest.fixture
def gateway(cloud: Cloud) -> Iterator[GatewayProcess]:
    """Provide the strict gateway that everything here goes through; clear all faults at the end."""
    try:
        yield cloud.gateway
    finally:
        cloud.gateway.faults()


@pytest.fixture
def make_agent(cloud: Cloud, containers: Containers, tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Start agents for this test's containers, whether or not they get through."""
    made: list[Agent] = []

    def make(**settings: str) -> Agent:
        agent = Agent(cloud, tmp_path, containers.prefix, **settings)
        made.append(agent)
        agent.start()
        return agent

    try:
        yield make
    finally:
        for agent in made:
            agent.stop()


@dataclass
class ReceivedEntries:
    """What a reader received of a job."""

    job: str
    after: int = 0
    entries: list[tuple[int, str, str]] = field(default_factory=list)
    """Sequence, stream and text."""

    @property
    def position(self) -> int:
        """Return the last sequence."""
        return self.entries[-1][0] if self.entries else self.after

    @property
    def ended(self) -> bool:
        """Report whether the end of the container's run was received."""
        return bool(self.entries) and self.entries[-1][1] == "s" and '"exited"' in self.entries[-1][2]

    def take(self, run: Run) -> None:
        """Record entries that were received."""
        columns = run.columns
        self.entries += zip(range(run.first, run.last + 1), columns.streams, columns.texts, strict=True)


async def events(cloud: Cloud, seen: ReceivedEntries) -> AsyncIterator[object]:
    """Yield what `logferry tail` receives; when it gives up, start it again after the last entry."""
    while True:
        async with Api(Target(cloud.state.http_url, cloud.state.viewers_url, cloud.keys.viewer_key)) as api:
            try:
                async with LiveClient(api, seen.job, after=seen.position, timing=QUICK) as following:
                    async for event in following.events():
                        assert not isinstance(event, Lost), f"stored entries were taken for lost: {event}"
                        if isinstance(event, Run):
                            seen.take(event)
                        yield event
            except Problem:
                await asyncio.sleep(0.2)


async def read_to_the_end(cloud: Cloud, job: str) -> ReceivedEntries:
    """Read a job until its container's end."""
    seen = ReceivedEntries(job)
    async for _event in events(cloud, seen):
        if seen.ended:
            return seen
    raise AssertionError


async def visit(cloud: Cloud, jobs: list[str], over: asyncio.Event, rng: random.Random) -> list[ReceivedEntries]:
    """Read a random job from a random position for a while, then another."""
    visits = []
    while not over.is_set():
        seen = ReceivedEntries(rng.choice(jobs), rng.choice((0, 0, rng.randrange(50))))
        visits.append(seen)
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.uniform(0.3, 3.0)):
                async for _event in events(cloud, seen):
                    pass
    return visits


def within_patience() -> asyncio.Timeout:
    """Return a generous limit."""
    return asyncio.timeout(PATIENCE_S)
