"""Run the fake cloud in its own process, optionally behind a network link of typical home speed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from bench.web.hostile import HOSTILE, entries
from bench.web.lines import service_lines, service_streams
from tests.support.viewer_cloud import Job, ViewerCloud, job_id, lossy

from logferry_protocol.limits import MAX_BODY_BYTES
from logferry_protocol.messages import BatchFacts

LINE_BYTES_S = 10_000_000 / 8
LINE_DELAY_S = 0.02
ANSWER_S = 0.04
"""Seconds that a warm function and DynamoDB take to answer a page of history."""


class BenchCloud(ViewerCloud):
    """The fake cloud with a benchmark's commands, executed in its process to keep messages between processes few."""

    def __init__(self, dist: Path) -> None:
        super().__init__(dist)
        self._written: dict[tuple[str, int], str] = {}
        self._relay: asyncio.Server | None = None
        self.relay_port = 0

    def begin(self) -> None:
        self.__enter__()
        self.call(self._begin_relay())

    def end(self) -> None:
        self.call(self._end_relay())
        self.__exit__()

    def new_job(self, name: str) -> None:
        self.add_job(name)

    def address(self, name: str | None = None, *, line: bool = False) -> str:
        """Return a page's address; with `line`, through the slow link except for the WebSocket."""
        address = self.page(*([name] if name else []))
        return address.replace(str(self.port), str(self.relay_port), 1) if line else address

    def hostile(self, name: str, kind: str, size: int) -> None:
        """Add a job of one hostile line of about `size` bytes, between two ordinary ones."""
        self.add_job(name)
        pieces = entries(HOSTILE[kind](size))
        self.append(name, ["before"], "o")
        # Sequences of escapes take six bytes each in a body, which holds 1 MiB at the most.
        for at in range(0, len(pieces), 8):
            some = pieces[at : at + 8]
            self.append(name, some, "O" * len(some) if at else "o" + "O" * (len(some) - 1))
        self.append(name, ["after"], "o")

    def fill(self, name: str, lines: int) -> int:
        """Add a job with this many lines, in batches as large as one frame carries; return the bytes of the bodies."""
        self.add_job(name)
        self.append(name, list(service_lines(lines)), service_streams(lines), batch=2_000)
        bodies = [len(facts.body) for facts in self.jobs[job_id(name)].batches]
        if max(bodies) > MAX_BODY_BYTES:
            raise AssertionError(f"a body of {max(bodies)} bytes is more than a frame carries")
        return sum(bodies)

    def flood(self, name: str, *, rate: int, seconds: float, turn: float) -> float:
        """Write `rate` lines a second, a batch every `turn` seconds like an agent with that round trip.

        Return the seconds.
        """
        each = round(rate * turn)
        rounds = round(seconds / turn)
        after = self.jobs[job_id(name)].tip
        texts = list(service_lines(rounds * each))
        made = self.encode(name, texts, None, after=after, batch=each)
        return float(self.call(self._flood(name, made, turn), within_s=60.0 + seconds))

    def inject_faults(self, seed: int) -> None:
        """Lose, repeat and reorder broadcasts from now on."""
        self.mangle = lossy(random.Random(seed))

    def clear_faults(self) -> None:
        self.mangle = lambda batches: batches

    def answer_after(self, seconds: float) -> None:
        self.history_delay = seconds

    def page_of(self, job: Job, begin: int, end: int, more: bool, kept: int | None) -> str:
        """Return the usual page, but encode each batch once: serving must cost less than the work that is measured."""
        batches = ",".join(self._document(facts) for facts in job.batches[begin:end])
        more_and_kept = f'"more": {json.dumps(more)}, "kept": {json.dumps(kept)}'
        return f'{{"tip": {job.tip}, "batches": [{batches}], {more_and_kept}}}'

    def _document(self, facts: BatchFacts) -> str:
        key = (facts.digest, facts.first)
        if key not in self._written:
            self._written[key] = facts.model_dump_json()
        return self._written[key]

    async def _flood(self, name: str, made: list[BatchFacts], turn: float) -> float:
        began = time.monotonic()
        for at, facts in enumerate(made):
            await self._publish(name, [facts])
            await asyncio.sleep(max(0.0, began + (at + 1) * turn - time.monotonic()))
        return time.monotonic() - began

    async def _begin_relay(self) -> None:
        down = SlowLink()
        self._relay = await asyncio.start_server(lambda *ends: self._relayed(down, *ends), "127.0.0.1", 0)
        self.relay_port = self._relay.sockets[0].getsockname()[1]

    async def _end_relay(self) -> None:
        if self._relay is not None:
            self._relay.close()

    async def _relayed(self, down: SlowLink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here, there = await asyncio.open_connection("127.0.0.1", self.port)
        directions = [
            asyncio.create_task(direction) for direction in (down.carry(here, writer), SlowLink().carry(reader, there))
        ]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        writer.close()
        there.close()


class SlowLink:
    """One direction of a network link: bytes leave in sequence at its rate, and arrive after its delay."""

    def __init__(self) -> None:
        self._free = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()

        def arrive(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        with suppress(ConnectionError):
            while data := await reader.read(8_192):
                self._free = max(self._free, loop.time()) + len(data) / LINE_BYTES_S
                loop.call_at(self._free + LINE_DELAY_S, arrive, data)
                # No more in transit than the link holds: a sender that does not wait would starve others.
                await asyncio.sleep(self._free - LINE_DELAY_S - loop.time())
        await asyncio.sleep(self._free + LINE_DELAY_S - loop.time())


class _Processes(BaseManager):
    pass


_Processes.register("cloud", BenchCloud)


@contextmanager
def cloud(dist: Path) -> Iterator[Any]:
    """Run a BenchCloud that serves a built viewer, and whose methods are called in its own process."""
    with _Processes(ctx=get_context("spawn")) as processes:
        made = processes.cloud(dist)  # type: ignore[attr-defined]
        made.begin()
        try:
            yield made
        finally:
            made.end()
