"""Inject one fault after the other into every call while a container writes and readers read; nothing is lost.

The faults: tables throttle, puts succeed without an answer, functions crash between the put and the acknowledgement,
and Lambda ends functions that take too long.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import boto3
import pytest
from tests.chaos.conftest import read_to_the_end, visit
from tests.e2e.conftest import Agent, Cloud, Containers, assert_complete, numbered, wait_for
from tests.support.gateway.process import GatewayProcess

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(900)]

LINES: Final = 120
"""Lines that are written during each fault."""

TIMEOUT_S: Final = 5
SLOW_S: Final = 9.0
"""Seconds of a DynamoDB call: longer than Lambda's timeout of the function, which is ended during the call."""

FAULTS: Final[tuple[tuple[dict[str, float], str, int], ...]] = (
    ({"throttle_table": 1.0}, "throttle table", 12),
    ({"fail_table_after": 1.0}, "fail table after", 12),
    ({"fail_after": 1.0}, "fail after", 4),
    ({"slow_table": 1.0, "slow_table_s": SLOW_S}, "Internal server error", 2),
)
"""The fault of every call, the gateway's counter for it, and how often it must happen."""


@contextmanager
def ended_after(cloud: Cloud, function: str, seconds: int) -> Iterator[None]:
    """Make Lambda end the function after this time, as the template says of AWS; other tests allow more."""
    functions: Any = boto3.client(
        "lambda",
        endpoint_url=cloud.state.endpoint_url,
        region_name=cloud.state.region,
        aws_access_key_id=cloud.state.access_key,
        aws_secret_access_key="test",
    )
    [name] = [one["FunctionName"] for one in functions.list_functions()["Functions"] if function in one["FunctionName"]]
    before = functions.get_function_configuration(FunctionName=name)["Timeout"]
    functions.update_function_configuration(FunctionName=name, Timeout=seconds)
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Timeout=before)


def script() -> str:
    """Return a script that writes a part of the lines on each signal; the first at once."""
    parts = []
    for part in range(len(FAULTS) + 1):
        lines = numbered(LINES * (part + 1), pause_every=4).replace("i=1;", f"i={LINES * part + 1};")
        parts.append(f"until [ -e /go{part} ] || [ {part} = 0 ]; do sleep 0.1; done; {lines}")
    return "; ".join(parts)


def is_past(cloud: Cloud, job: str, number: int) -> bool:
    return cloud.tip(job) > number


def inject_each_fault(cloud: Cloud, gateway: GatewayProcess, containers: Containers, name: str, job: str) -> None:
    """Inject each fault in turn, from before a part is written until it happened often enough."""
    for part, (fault, counted, times) in enumerate(FAULTS, 1):
        wait_for(partial(is_past, cloud, job, LINES * part), f"part {part - 1} before {fault}")
        before = gateway.state()["counts"].get(counted, 0)
        gateway.faults(**fault)
        containers.engine.containers.get(name).exec_run(["/bin/sh", "-c", f": > /go{part}"])
        wait_for(lambda: gateway.state()["counts"].get(counted, 0) >= before + times, f"{times} times {fault}")  # noqa: B023
        gateway.faults()


async def test_continuous_faults_lose_and_repeat_nothing(
    cloud: Cloud, gateway: GatewayProcess, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """For readers who read throughout, who come and go, and who come afterwards."""
    make_agent(LOGFERRY_FLUSH_INTERVAL="0.2")
    name = containers.run("suffers", script())
    job = await asyncio.to_thread(cloud.job_of, name)
    over = asyncio.Event()
    with ended_after(cloud, "Ingest", TIMEOUT_S):
        async with asyncio.timeout(800), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read_to_the_end(cloud, job))
            coming = tasks.create_task(visit(cloud, [job], over, random.Random(3)))
            await asyncio.to_thread(inject_each_fault, cloud, gateway, containers, name, job)
            seen = await reading
            over.set()
            visits = await coming
    stored = await asyncio.to_thread(cloud.exported, name)
    assert_complete(stored, LINES * (len(FAULTS) + 1))
    streams = {"o": "stdout", "e": "stderr", "s": "system"}
    whole = [(entry["sequence"], entry["stream"], entry["line"]) for entry in stored]
    for one in (seen, *visits):
        given = [(sequence, streams[stream], text) for sequence, stream, text in one.entries]
        assert given == whole[one.after : one.after + len(given)]
    assert len(seen.entries) == len(whole)
    assert gateway.state()["violations"] == []
