"""Test a thousand viewers of one job, and a thousand jobs with one viewer each: every viewer receives everything.

The traffic goes through the strict gateway and the local cloud. The test prints its measurements.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.conftest import Cloud
from tests.support.gateway.process import GatewayProcess
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from logferry_cli.reader import Page, Reader, Run
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import (
    TO_VIEWER,
    Batch,
    BatchFacts,
    BatchMessage,
    Ingest,
    Open,
    OpenJob,
    Ping,
    Subscribe,
    Subscribed,
    ViewerPong,
    decode,
    encode,
)

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(3600)]

CROWD = int(os.environ.get("LOGFERRY_CROWD", "1000"))
ROUNDS = 10
"""Batches of each job."""
LINES = 20
"""Lines of each batch."""
OPENED_AT_ONCE, ENVELOPE = 16, 40
AT_THE_DOOR = 12
"""Viewers that connect concurrently: the emulator's functions take some 20 ms each, and tickets live for 30 s."""
PINGS_A_SECOND = 3.0
"""Ping interval of all viewers: with the usual 30 s, the emulator's processes would only serve pings."""


STAY_S = 120.0
"""Seconds that the agent may be silent: API Gateway closes connections that idle for ten minutes."""


def _opening(jobs: list[OpenJob], number: str) -> Open:
    return Open(id=number, instance="crowd", jobs=jobs)


def _ingesting(batches: list[Batch], number: str) -> Ingest:
    return Ingest(id=number, batches=batches)


class FakeAgent:
    """Send numbered lines of many jobs over the wire; resend what is not answered in time."""

    def __init__(self, socket: ClientConnection, jobs: list[str]) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._jobs = jobs
        self._asked = 0.0

    async def open(self) -> None:
        """Open the jobs."""
        life, container = LifeCycle(state="running", created=1), Container(name="crowd", image="none", host="host")
        for some in _some(self._jobs, OPENED_AT_ONCE):
            jobs = [OpenJob(job=job, container=container, life=life) for job in some]
            await self._ask(partial(_opening, jobs))

    async def stay(self) -> None:
        """Keep the connection from idling while the viewers connect."""
        if time.monotonic() - self._asked > STAY_S:
            await self._ask(lambda number: Ping(id=number))

    async def write(self, number: int) -> None:
        """Send the next batch of every job."""
        texts = [f"line {number * LINES + n}" for n in range(1, LINES + 1)]
        times = [1_764_000_000_000_000 + n for n in range(LINES)]
        body = encode_body(times, "o" * LINES, texts)
        raw = sum(map(len, texts))

        def batch(job: str) -> Batch:
            return Batch(
                job=job,
                first=number * LINES + 1,
                count=LINES,
                start=times[0],
                end=times[-1],
                raw=raw,
                digest=digest_of(body),
                cursor="",
                body=body,
            )

        for some in _some(self._jobs, ENVELOPE):
            batches = [batch(job) for job in some]
            answer = await self._ask(partial(_ingesting, batches))
            assert {result["outcome"] for result in answer["results"]} <= {"stored", "duplicate"}

    async def _ask(self, make: Callable[[str], Any]) -> Any:
        while True:
            name, self._asked = f"r{next(self._ids)}", time.monotonic()
            await self._socket.send(encode(make(name)))
            try:
                async with asyncio.timeout(60):
                    while True:
                        answer = _json(await self._socket.recv())
                        if answer.get("id") == name and answer["type"] != "error":
                            return answer
            except TimeoutError:
                continue


def _some(values: list[str], count: int) -> Iterable[list[str]]:
    for at in range(0, len(values), count):
        yield values[at : at + count]


def _json(text: str | bytes) -> dict[str, Any]:
    return dict(json.loads(text))


class Watcher:
    """One viewer of one job, on its own connection."""

    def __init__(
        self, cloud: Cloud, http: aiohttp.ClientSession, door: asyncio.Semaphore, job: str, ping_s: float
    ) -> None:
        self._cloud, self._http, self._door, self._job, self._ping_s = cloud, http, door, job, ping_s
        self.reader = Reader(random.random)
        self.texts: list[str] = []
        self.reconnects = -1
        self.fetched = 0
        self.subscribed = asyncio.Event()

    async def read(self, count: int) -> None:
        """Read until it has this many entries."""
        while len(self.texts) < count:
            self.reconnects += 1
            try:
                await self._read_on(count)
            except (WebSocketException, aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(random.uniform(0.0, 3.0))

    async def _read_on(self, count: int) -> None:
        socket = await self._connect()
        try:
            while len(self.texts) < count:
                if (asked := self.reader.request(time.monotonic())) is not None:
                    await self._fetch(asked)
                due = self.reader.due
                try:
                    async with asyncio.timeout(self._ping_s if due is None else max(0.0, due - time.monotonic())):
                        self._take(await socket.recv())
                except TimeoutError:
                    if due is None:
                        await socket.send(encode(Ping(id="p")))
                for run in self.reader.take():
                    assert isinstance(run, Run)
                    self.texts += run.columns.texts
        finally:
            await socket.close()

    async def _connect(self) -> ClientConnection:
        """Return a subscribed connection."""
        async with self._door:
            async with self._http.post(f"{self._cloud.state.http_url}/api/tickets", raise_for_status=True) as answer:
                ticket = (await answer.json())["ticket"]
            address = f"{self._cloud.state.viewers_url}?v=1&ticket={ticket}"
            socket = await connect(address, compression=None, open_timeout=60, ping_interval=None, close_timeout=1)
            self.subscribed.clear()
            try:
                await socket.send(encode(Subscribe(id="s", job=self._job, after=self.reader.position)))
                async with asyncio.timeout(60):
                    while not self.subscribed.is_set():
                        self._take(await socket.recv())
            except BaseException:
                await socket.close()
                raise
            return socket

    async def _fetch(self, after: int) -> None:
        address = f"{self._cloud.state.http_url}/api/jobs/{self._job}/batches"
        try:
            async with self._http.get(address, params={"after": after}, raise_for_status=True) as answer:
                page = await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            self.reader.failed(time.monotonic())
            return
        self.fetched += 1
        batches = [BatchFacts.model_validate(batch) for batch in page["batches"]]
        self.reader.answer(Page(page["tip"], batches, page["more"]), time.monotonic())

    def _take(self, text: str | bytes) -> None:
        now = time.monotonic()
        try:
            message = decode(text, TO_VIEWER)
        except MalformedMessageError:
            return  # API Gateway's own errors are no answer, as PROTOCOL.md says
        if isinstance(message, Subscribed):
            self.subscribed.set()
            self.reader.update_tip(message.tip or 0, now, at_once=True)
        elif isinstance(message, BatchMessage):
            for batch in message.batches:
                self.reader.receive(batch, now)
        elif isinstance(message, ViewerPong):
            self.reader.update_tip(message.tips.get(self._job, 0), now)


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own / 1024 + sum(memory_mib(int(child)) for child in children)


async def admitted(address: str, headers: dict[str, str]) -> ClientConnection:
    """Open an agent's connection; retry while the emulator is busy with viewers that left."""
    until = time.monotonic() + 120
    while True:
        try:
            return await connect(address, additional_headers=headers, ping_interval=None, open_timeout=120)
        except InvalidStatus as error:
            if error.response.status_code < 500 or time.monotonic() > until:
                raise
            await asyncio.sleep(1)


async def many_viewers(cloud: Cloud, gateway: GatewayProcess, jobs: int, viewers: int) -> None:
    """Connect `viewers`, each to one of the jobs; then grow every job until every viewer has all of it."""
    containers = [f"{number:064x}" for number in range(viewers * 7, viewers * 7 + jobs)]
    key = {"Authorization": f"Bearer {cloud.keys.viewer_key}"}
    agent_key = {"Authorization": f"Bearer {cloud.keys.agent_key}"}
    limits, patience = aiohttp.TCPConnector(limit=8), aiohttp.ClientTimeout(total=None, sock_read=120)
    began = time.monotonic()
    async with (
        await admitted(cloud.state.agents_url + "?v=1", agent_key) as socket,
        aiohttp.ClientSession(headers=key, timeout=patience, connector=limits) as http,
        asyncio.TaskGroup() as tasks,
    ):
        agent = FakeAgent(socket, containers)
        await agent.open()
        opened = time.monotonic()
        door = asyncio.Semaphore(AT_THE_DOOR)
        ping_s = max(10.0, viewers / PINGS_A_SECOND)
        watchers = [Watcher(cloud, http, door, f"local.{containers[n % jobs]}", ping_s) for n in range(viewers)]
        reading: list[Awaitable[None]] = [tasks.create_task(one.read(ROUNDS * LINES)) for one in watchers]
        for one in watchers:
            await one.subscribed.wait()
            await agent.stay()
        connected = time.monotonic()
        for number in range(ROUNDS):
            await agent.write(number)
        written = time.monotonic()
        for task in reading:
            await task
        done = time.monotonic()
    wanted = [f"line {n}" for n in range(1, ROUNDS * LINES + 1)]
    assert all(one.texts == wanted for one in watchers)
    counts = gateway.state()["counts"]
    reconnects, fetched = (sum(getattr(one, what) for one in watchers) for what in ("reconnects", "fetched"))
    cloud_mib, gateway_mib = memory_mib(cloud.state.pids["cloud"].pid), memory_mib(gateway.pid)
    facts = [
        f"{viewers} viewers of {jobs} job(s): opened in {opened - began:.1f} s",
        f"all subscribed in {connected - opened:.1f} s",
        f"{ROUNDS} batches a job stored in {written - connected:.1f} s",
        f"every viewer complete {done - written:.1f} s later",
        f"{reconnects} reconnects, {fetched} pages of history, {counts.get('push', 0)} pushes",
        f"cloud {cloud_mib:.0f} MiB, gateway {gateway_mib:.0f} MiB",
    ]
    print("\n" + "; ".join(facts))
    assert gateway.state()["violations"] == []


async def test_viewers_of_several_jobs_receive_everything(cloud: Cloud, gateway: GatewayProcess) -> None:
    """The short form: three viewers of each of eight jobs."""
    await many_viewers(cloud, gateway, 8, 24)


@pytest.mark.slow
async def test_thousand_viewers_of_one_job_receive_everything(cloud: Cloud, gateway: GatewayProcess) -> None:
    """One job, many viewers."""
    await many_viewers(cloud, gateway, 1, CROWD)


@pytest.mark.slow
async def test_thousand_jobs_with_one_viewer_each_are_received_whole(cloud: Cloud, gateway: GatewayProcess) -> None:
    """Many jobs, many viewers."""
    await many_viewers(cloud, gateway, CROWD, CROWD)
