"""Run a fake ingest: a real WebSocket server in its own process that keeps the wire's contract and injects faults.

It stores as the cloud does (a put requires (job, first) to be absent and first to follow the tip), but in memory.
Faults are set while it runs. `python -m tests.support.fake_ingest` serves until its input ends;
`FakeIngestProcess` controls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

import msgspec
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

from logferry_protocol.batch import Columns, decode_body
from logferry_protocol.errors import BatchError, MalformedMessageError
from logferry_protocol.messages import (
    FROM_AGENT,
    Batch,
    Ingest,
    Ingested,
    Noted,
    Open,
    Opened,
    OpenedJob,
    Ping,
    Pong,
    Result,
    Status,
    Watch,
    Watched,
    decode,
    encode,
)

ROOT = Path(__file__).parents[2]
REFUSAL = '{"message":"User is not authorized to access this resource with an explicit deny"}'
"""What API Gateway answers to a handshake that an authorizer denies."""


@dataclass
class Faults:
    """Faults to inject; numbers are shares of the envelopes, unless they name a unit."""

    drop_answer: float = 0.0
    """Stored, but not answered."""
    ignore: float = 0.0
    """Neither stored nor answered."""
    repeat_answer: float = 0.0
    unreadable: float = 0.0
    """Stored, and answered as API Gateway does when a function crashes."""
    delay_s: float = 0.0
    """Answers are delayed by up to this many seconds, so they arrive out of order."""
    slow_down: float = 0.0
    slow_down_ms: int = 20
    cut: float = 0.0
    """Stored, then the connection is cut without a close."""
    reject: dict[str, Any] = field(default_factory=dict)
    """{"share": p, "reason": r, "retry": bool, "needle": text that a batch must contain}."""
    refuse_open: dict[str, Any] = field(default_factory=dict)
    """{"error": code, "retry": bool}."""
    keys: list[str] | None = None
    """Keys accepted; None: any."""


class _CountedBatch(msgspec.Struct):
    """The fields read of a batch if nobody requests its entries; its body is not read."""

    job: str
    first: int
    count: int
    digest: str
    cursor: str

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class _CountedEnvelope(msgspec.Struct):
    """See `FakeIngest`."""

    id: str
    batches: list[_CountedBatch]


_COUNTED = msgspec.json.Decoder(_CountedEnvelope)


@dataclass
class StoredBatch:
    """A batch as the table would hold it."""

    batch: Batch | _CountedBatch
    columns: Columns | None
    """None where entries are only counted."""
    arrived: float = field(default_factory=time.time)


class FakeIngest:
    """Serve the cloud's side of the wire.

    check: decompress bodies, and keep their entries. Otherwise it does as little as possible, for benchmarks, where
    it must not use much of the processors.
    """

    def __init__(self, *, check: bool = True) -> None:
        self.check = check
        self.reset()

    def reset(self) -> None:
        self.faults = Faults()
        self.jobs: dict[str, list[StoredBatch]] = {}
        self.lives: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}
        self.connections: set[ServerConnection] = getattr(self, "connections", set())
        self.watched: Watched | None = None
        self.last_stored = 0.0
        self.rng = random.Random(7)

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by

    def tip(self, job: str) -> int:
        stored = self.jobs.get(job)
        return stored[-1].batch.last if stored else 0

    def handshake(self, connection: ServerConnection, request: Handshake) -> Response | None:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.faults.keys is not None and key not in self.faults.keys:
            self.count("refused")
            return connection.respond(HTTPStatus.FORBIDDEN, REFUSAL)
        return None

    async def serve_connection(self, connection: ServerConnection) -> None:
        self.count("connections")
        self.connections.add(connection)
        tasks = set()
        try:
            async for text in connection:
                task = asyncio.create_task(self.answer(connection, str(text)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except Exception:
            self.count("cut")
        finally:
            self.connections.discard(connection)

    async def answer(self, connection: ServerConnection, text: str) -> None:
        try:
            counted = not self.check and text.startswith('{"type":"ingest",')
            message = _COUNTED.decode(text) if counted else decode(text, FROM_AGENT)
        except MalformedMessageError as error:
            self.count("malformed")
            await self.send(connection, f'{{"type":"error","code":"malformed","message":{json.dumps(str(error))}}}')
            return
        match message:
            case Ping():
                await self.send(connection, encode(Pong(id=message.id)))
            case Status():
                for job in message.jobs:
                    self.statuses[job.job] = job.model_dump(mode="json")
                await self.send(connection, encode(Noted(id=message.id)))
            case Open():
                jobs = [self.open(job) for job in message.jobs]
                await self.send(connection, encode(Opened(id=message.id, jobs=jobs)))
            case Ingest() | _CountedEnvelope():
                await self.ingest(connection, message)

    def open(self, job: Any) -> OpenedJob:
        self.count("opens")
        self.lives[job.job] = job.model_dump(mode="json")
        if self.faults.refuse_open:
            return OpenedJob(job=job.job, **self.faults.refuse_open)
        stored = self.jobs.get(job.job)
        if not stored:
            return OpenedJob(job=job.job, watched=self.watched)
        last = stored[-1].batch
        return OpenedJob(
            job=job.job, tip=last.last, digest=last.digest, first=last.first, cursor=last.cursor, watched=self.watched
        )

    async def ingest(self, connection: ServerConnection, message: Ingest | _CountedEnvelope) -> None:
        faults, rng = self.faults, self.rng
        self.count("envelopes")
        if rng.random() < faults.ignore:
            return
        results = [self.store(batch) for batch in message.batches]
        if rng.random() < faults.cut:
            connection.transport.abort()
            return
        if rng.random() < faults.drop_answer:
            return
        slow = faults.slow_down_ms if rng.random() < faults.slow_down else None
        answer = encode(Ingested(id=message.id, results=results, slow_down=slow))
        if rng.random() < faults.unreadable:
            answer = '{"message": "Internal server error", "connectionId": "x", "requestId": "y"}'
        if faults.delay_s:
            await asyncio.sleep(rng.uniform(0, faults.delay_s))
        await self.send(connection, answer)
        if rng.random() < faults.repeat_answer:
            await self.send(connection, answer)

    def store(self, batch: Batch | _CountedBatch) -> Result:
        self.count("batches")
        if isinstance(batch, _CountedBatch):
            return self.put(batch, None)
        try:
            columns = decode_body(batch.body)
        except BatchError as error:
            return Result(job=batch.job, first=batch.first, outcome="rejected", reason=error.code, message=error.detail)
        if len(columns) != batch.count:
            return Result(job=batch.job, first=batch.first, outcome="rejected", reason="count_mismatch")
        reject = self.faults.reject
        texts = columns.texts
        hit = reject and any(reject.get("needle", "") in text for text in texts)
        if hit and self.rng.random() < reject.get("share", 1.0):
            self.count("rejected")
            retry = reject.get("retry", False)
            return Result(job=batch.job, first=batch.first, outcome="rejected", reason=reject["reason"], retry=retry)
        return self.put(batch, columns)

    def put(self, batch: Batch | _CountedBatch, columns: Columns | None) -> Result:
        stored = self.jobs.setdefault(batch.job, [])
        tip = self.tip(batch.job)
        if batch.first <= tip:
            same = any(old.batch.first == batch.first and old.batch.digest == batch.digest for old in stored)
            self.count("duplicates" if same else "conflicts")
            return Result(job=batch.job, first=batch.first, outcome="duplicate" if same else "conflict", tip=tip)
        if batch.first != tip + 1:
            self.count("out_of_sequence")
            return Result(
                job=batch.job, first=batch.first, outcome="rejected", reason="out_of_sequence", retry=True, tip=tip
            )
        stored.append(StoredBatch(batch, columns))
        self.count("entries", batch.count)
        self.last_stored = time.time()
        return Result(job=batch.job, first=batch.first, outcome="stored", tip=batch.last)

    async def send(self, connection: ServerConnection, text: str) -> None:
        with contextlib.suppress(Exception):
            await connection.send(text)

    # --- the control side ---------------------------------------------------------------------------------------

    async def control(self, request: web.Request) -> web.Response:
        command = await request.json()
        match command["do"]:
            case "reset":
                for connection in list(self.connections):
                    connection.transport.abort()
                self.reset()
            case "faults":
                self.faults = Faults(**command["faults"])
            case "cut":
                for connection in list(self.connections):
                    connection.transport.abort()
            case "close":
                for connection in list(self.connections):
                    asyncio.get_running_loop().create_task(connection.close(command["code"]))
            case "watch":
                self.watched = Watched(ttl=command["ttl"], interval=command["interval"]) if command["ttl"] else None
                for connection in list(self.connections):
                    for job in self.lives:
                        watch = Watch(job=job, ttl=command["ttl"], interval=command["interval"])
                        await self.send(connection, encode(watch))
            case "forget":
                keep = command["keep"]
                self.jobs = {job: stored[:keep] for job, stored in self.jobs.items()}
            case "counts":
                jobs = {job: self.tip(job) for job in self.jobs}
                return web.json_response({**self.counts, "jobs": jobs, "last_stored": self.last_stored})
            case "lives":
                return web.json_response({"lives": self.lives, "statuses": self.statuses})
            case "entries":
                rows = []
                for stored in self.jobs.get(command["job"], []):
                    assert stored.columns is not None
                    rows += [list(row) for row in stored.columns.rows(stored.batch.first)]
                return web.json_response(rows)
            case "lateness":
                late = [
                    (time_us / 1e6, stored.arrived - time_us / 1e6)
                    for stored in self.jobs.get(command["job"], [])
                    if stored.columns is not None
                    for time_us in stored.columns.times
                ]
                return web.json_response(late)
        return web.json_response({})


async def _serve(host: str, *, check: bool) -> None:
    ingest = FakeIngest(check=check)
    async with serve(
        ingest.serve_connection,
        host,
        0,
        process_request=ingest.handshake,
        compression=None,
        max_size=32_768,
        max_queue=256,
    ) as server:
        application = web.Application()
        application.router.add_post("/", ingest.control)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        control = runner.addresses[0][1]
        print(json.dumps({"port": server.sockets[0].getsockname()[1], "control": control}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


class FakeIngestProcess:
    """A fake ingest in its own process, and what it holds."""

    def __init__(self, *, check: bool = True, host: str = "127.0.0.1") -> None:
        command = [sys.executable, "-m", "tests.support.fake_ingest", host, *([] if check else ["--count-only"])]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ports = json.loads(self._process.stdout.readline())
        self.port = ports["port"]
        self.url = f"ws://127.0.0.1:{ports['port']}/live"
        self._control = f"http://127.0.0.1:{ports['control']}/"

    def __enter__(self) -> FakeIngestProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _do(self, what: str, **fields: Any) -> Any:
        body = json.dumps({"do": what, **fields}).encode()
        with urlopen(Request(self._control, body, {"Content-Type": "application/json"}), timeout=30) as response:
            return json.load(response)

    def reset(self) -> None:
        """Return to the initial state."""
        self._do("reset")

    def faults(self, **faults: Any) -> None:
        """Inject these faults from now on (see `Faults`); without arguments, none."""
        self._do("faults", faults=faults)

    def cut(self) -> None:
        """Cut every connection without a close frame."""
        self._do("cut")

    def close(self, code: int) -> None:
        """Close every connection with a code."""
        self._do("close", code=code)

    def watch(self, ttl: int = 60_000, interval: int = 0) -> None:
        """Set the number of viewers of every job; 0: none."""
        self._do("watch", ttl=ttl, interval=interval)

    def forget(self, keep: int = 0) -> None:
        """Lose all batches of each job except the first ones."""
        self._do("forget", keep=keep)

    def counts(self) -> dict[str, Any]:
        """Return counters, and the tip of each job."""
        return cast(dict[str, Any], self._do("counts"))

    def lives(self) -> dict[str, Any]:
        """Return what `open` and `status` said of the jobs."""
        return cast(dict[str, Any], self._do("lives"))

    def entries(self, job: str) -> list[tuple[int, int, str, str]]:
        """Return (sequence, time, stream, text) of everything stored of a job."""
        return [tuple(row) for row in self._do("entries", job=job)]

    def lateness(self, job: str) -> list[tuple[float, float]]:
        """Return (time, delay until its arrival in seconds) of everything stored of a job."""
        return [tuple(row) for row in self._do("lateness", job=job)]

    def reported_tip(self, job: str) -> int | None:
        """Return the job's last sequence according to the last `status`."""
        tip: int | None = self.lives()["statuses"].get(job, {}).get("tip")
        return tip

    def tip(self, job: str) -> int:
        """Return the job's last stored sequence."""
        return int(self.counts()["jobs"].get(job, 0))


def wait_until(condition: Any, timeout_s: float = 60.0, every_s: float = 0.02) -> None:
    """Wait for a condition; the limit is generous, because only failures reach it."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(every_s)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], check="--count-only" not in sys.argv))
