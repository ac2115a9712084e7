"""Run real containers, an agent, a strict gateway, the local cloud and readers with all faults at once.

The agent is killed every 5 seconds, every WebSocket is cut about every 7, acknowledgements are lost and repeated,
answers arrive out of order, functions crash after their work, tables throttle, broadcasts are lost, and viewers come
and go. Every written line is stored once and in order, and every reader has received exactly that.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from tests.chaos.conftest import read_to_the_end, visit
from tests.e2e.conftest import Agent, Cloud, Containers, assert_complete, numbered
from tests.support.gateway.process import GatewayProcess

pytestmark = [pytest.mark.engine, pytest.mark.cloud]

WEATHER = {
    "lose_answer": 0.1,
    "repeat_answer": 0.1,
    "fail_before": 0.03,
    "fail_after": 0.05,
    "throttle": 0.03,
    "delay_s": 0.3,
    "lose_push": 0.1,
    "repeat_push": 0.1,
    "delay_push_s": 0.5,
    "throttle_push": 0.05,
    "lose_disconnect": 0.3,
    "throttle_table": 0.01,
    "fail_table_after": 0.01,
    "slow_table": 0.003,
    "slow_table_s": 6.0,
    "http_throttle": 0.05,
}


async def run_with_all_faults(
    cloud: Cloud,
    gateway: GatewayProcess,
    containers: Containers,
    agent: Agent,
    *,
    jobs: int,
    lines: int,
    pause_every: int,
    visitors: int,
    patience_s: float,
) -> int:
    """Run all faults from start to end and return how often the agent was killed."""
    gateway.faults(**WEATHER)
    names = [
        await asyncio.to_thread(containers.run, f"storm{number}", numbered(lines, pause_every=pause_every))
        for number in range(jobs)
    ]
    over = asyncio.Event()
    rng = random.Random(7)
    async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
        killing = tasks.create_task(repeat_while_advancing(5.0, over, gateway, agent.kill, agent.start))
        tasks.create_task(repeat_while_advancing(7.0, over, gateway, gateway.cut))
        found = [await asyncio.to_thread(job_of, cloud, name) for name in names]
        readers = [tasks.create_task(read_to_the_end(cloud, job)) for job in found]
        coming = [tasks.create_task(visit(cloud, found, over, random.Random(rng.random()))) for _ in range(visitors)]
        seen = [await reader for reader in readers]
        over.set()
        visits = [one for visitor in coming for one in await visitor]
    gateway.faults()
    for name, job in zip(names, found, strict=True):
        stored = await asyncio.to_thread(cloud.exported, name)
        assert_complete(stored, lines)
        whole = [(entry["sequence"], entry["stream"], entry["line"]) for entry in stored]
        streams = {"o": "stdout", "e": "stderr", "s": "system"}
        for one in [*seen, *visits]:
            if one.job == job:
                given = [(sequence, streams[stream], text) for sequence, stream, text in one.entries]
                assert given == whole[one.after : one.after + len(given)]
        assert all(len(one.entries) == len(whole) for one in seen if one.job == job)
    return await killing


def job_of(cloud: Cloud, name: str) -> str:
    """Return the job of a container, although the API throttles."""
    while True:
        try:
            return cloud.job_of(name)
        except Exception:
            continue


async def repeat_while_advancing(
    seconds: float, over: asyncio.Event, gateway: GatewayProcess, *does: Callable[[], None]
) -> int:
    """Do something every given number of seconds, as long as the agent advances in between, and return how often.

    Without this condition a busy machine, where a start and a handshake take longer, would never advance.
    """
    times, heard = 0, 0
    while True:
        try:
            async with asyncio.timeout(seconds):
                await over.wait()
                return times
        except TimeoutError:
            now = await asyncio.to_thread(lambda: int(gateway.state()["counts"].get("invoke Ingest", 0)))
            if now < heard + 4:
                continue
            for do in does:
                await asyncio.to_thread(do)
            times, heard = times + 1, now


@pytest.mark.slow  # test_each_fault.py and test_many_viewers.py are the short forms
@pytest.mark.timeout(1200)
async def test_nothing_is_lost_or_repeated_for_any_reader_under_all_faults(
    cloud: Cloud, gateway: GatewayProcess, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """The short form."""
    agent = make_agent(LOGFERRY_FLUSH_INTERVAL="0.2")
    kills = await run_with_all_faults(
        cloud,
        gateway,
        containers,
        agent,
        jobs=1,
        lines=600,
        pause_every=2,
        visitors=1,
        patience_s=600,
    )
    assert kills >= 1
    assert gateway.state()["violations"] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_nothing_is_lost_or_repeated_for_any_reader_under_long_faults(
    cloud: Cloud, gateway: GatewayProcess, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """Minutes, more containers, and more viewers who come and go."""
    agent = make_agent(LOGFERRY_FLUSH_INTERVAL="0.2")
    began = time.monotonic()
    kills = await run_with_all_faults(
        cloud,
        gateway,
        containers,
        agent,
        jobs=4,
        lines=20_000,
        pause_every=8,
        visitors=4,
        patience_s=3000,
    )
    counts = gateway.state()["counts"]
    print(f"{time.monotonic() - began:.0f} s, the agent killed {kills} times, faults met: {counts}")
    assert kills >= 10
    assert gateway.state()["violations"] == []
