"""Run a fake cloud for the viewer: the viewers' contract (PROTOCOL.md) over aiohttp, with faults on demand.

It stores batches in memory, encoded by the real codec, and speaks the HTTP API and the viewers' WebSocket;
tests/support/viewer_service.py adds search and share links to it. Faults: broadcasts that are lost, repeated or
reordered (`mangle`), sockets that are cut (`cut`), history that is slow, refused credentials.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import WSMsgType, web

from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.job import Container, JobRecord, LifeCycle
from logferry_protocol.messages import (
    FROM_VIEWER,
    BatchFacts,
    BatchMessage,
    Error,
    JobMessage,
    Ping,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    ViewerPong,
    decode,
    encode,
)
from query.core import HistoryRange, kept_from

DIST = Path(__file__).parents[2] / "web" / "dist"
KEY = "lfv_" + "a" * 12 + "_" + "A" * 43
BEGAN_US = 1_764_000_000_000_000
PAGE_BYTES, PAGE_BATCHES = 1_048_576, 500
"""The real API's page limits: bytes of bodies before base64, and batches; at least one batch."""
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; manifest-src 'self'; connect-src 'self' data: {live}; "
    "base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types logferry"
)


def job_id(name: str) -> str:
    """Return a job id that is always the same for a name."""
    return f"local.{digest_of(name.encode())}"


@dataclass
class Job:
    """One job's batches and record."""

    record: JobRecord
    batches: list[BatchFacts] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    """The batches as HTTP answers carry them."""
    forgotten: int = 0
    """The last sequence that retention removed."""

    @property
    def tip(self) -> int:
        return self.batches[-1].last if self.batches else self.forgotten

    def forget(self, count: int) -> None:
        """Expire the first batches, as retention does."""
        self.forgotten = self.batches[count - 1].last
        del self.batches[:count], self.facts[:count]


class ViewerCloud:
    """A cloud in its own thread, so that a test may drive a browser in the main one."""

    def __init__(self, dist: Path = DIST) -> None:
        self.jobs: dict[str, Job] = {}
        self.dist = dist
        self.key = KEY
        self.tickets: set[str] = set()
        self.tickets_given = 0
        self.requests: list[str] = []
        self.history_delay = 0.0
        self.mangle: Callable[[list[BatchFacts]], Iterable[BatchFacts]] = lambda batches: batches
        """Changes the batches of one broadcast, per viewer."""
        self.loop = asyncio.new_event_loop()
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}
        self._lists: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        self.port = 0
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def call(self, work: Any, within_s: float = 60.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within_s)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def page(self, *names: str, extra: str = "", key: str | None = None) -> str:
        """Return the address of a page of jobs, with a login in its fragment."""
        query = "&".join([*(f"job={job_id(name)}" for name in names), *([extra] if extra else [])])
        return f"{self.url}{'?' + query if query else ''}#key={key or self.key}"

    # --- the test's side ------------------------------------------------------------------------------------------

    def add_job(self, name: str, *, state: str = "running", owner: str = "local", **container: Any) -> Job:
        life = LifeCycle.model_validate({"state": state, "created": BEGAN_US // 1000, "started": BEGAN_US // 1000})
        record = JobRecord(
            job=job_id(name),
            owner=owner,
            principal="local",
            instance="ENGINE",
            container=Container.model_validate({"name": name, "image": "sample:1", "host": "laptop", **container}),
            life=life,
            seen=BEGAN_US // 1000,
        )
        job = self.jobs[record.job] = Job(record)
        return job

    def append(
        self, name: str, texts: Sequence[str], streams: str | None = None, *, every_us: int = 1000, batch: int = 2000
    ) -> None:
        """Store lines as history, without a broadcast."""
        for facts in self._encode(name, texts, streams, every_us, batch):
            self._store(self.jobs[job_id(name)], facts)

    def append_copies(self, name: str, texts: Sequence[str], copies: int) -> None:
        """Store the same lines repeatedly, a batch each, for jobs that only need to be long."""
        for _ in range(copies):
            self.append(name, texts, batch=len(texts))

    def write(self, name: str, texts: Sequence[str], streams: str | None = None, *, batch: int = 2000) -> None:
        """Store lines and broadcast them, as ingest and broadcast do."""
        self.call(self._write(name, texts, streams, batch))

    def encode(
        self, name: str, texts: Sequence[str], streams: str | None, *, after: int, batch: int = 2000
    ) -> list[BatchFacts]:
        """Return batches that follow the sequence `after`, for `broadcast`."""
        return self._encode(name, texts, streams, 1000, batch, after)

    def broadcast(self, name: str, batches: Sequence[BatchFacts]) -> None:
        """Store encoded batches, and send them."""
        self.call(self._publish(name, list(batches)))

    def tell(self, name: str, **life: Any) -> None:
        """Change a job's lifecycle and update the lists."""
        job = self.jobs[job_id(name)]
        job.record = job.record.model_copy(update={"life": job.record.life.model_copy(update=life), "tip": job.tip})
        self.call(self._tell(job.record))

    def cut(self) -> int:
        """Break every viewer's WebSocket, and return how many."""
        return int(self.call(self._cut()))

    # --- internals ------------------------------------------------------------------------------------------------

    def _encode(
        self,
        name: str,
        texts: Sequence[str],
        streams: str | None,
        every_us: int,
        batch: int,
        after: int | None = None,
    ) -> list[BatchFacts]:
        tip = self.jobs[job_id(name)].tip if after is None else after
        made = []
        for at in range(0, len(texts), batch):
            some = list(texts[at : at + batch])
            times = [BEGAN_US + (tip + at + offset) * every_us for offset in range(len(some))]
            body = encode_body(times, (streams or "o" * len(texts))[at : at + batch], some)
            made.append(
                BatchFacts(
                    first=tip + at + 1,
                    count=len(some),
                    start=times[0],
                    end=times[-1],
                    raw=sum(len(text.encode()) for text in some),
                    digest=digest_of(body),
                    body=base64.b64encode(body).decode(),
                )
            )
        return made

    @staticmethod
    def _store(job: Job, facts: BatchFacts) -> None:
        job.batches.append(facts)
        job.facts.append(facts.model_dump(mode="json"))

    async def _write(self, name: str, texts: Sequence[str], streams: str | None, batch: int) -> None:
        await self._publish(name, self._encode(name, texts, streams, 1000, batch))

    async def _publish(self, name: str, made: list[BatchFacts]) -> None:
        job = self.jobs[job_id(name)]
        for facts in made:
            self._store(job, facts)
        for socket, watched in list(self._sockets.items()):
            if job.record.job not in watched:
                continue
            for facts in self.mangle(list(made)):
                await self._send(socket, BatchMessage(job=job.record.job, batches=[facts]))

    async def _tell(self, record: JobRecord) -> None:
        for socket in list(self._lists):
            await self._send(socket, JobMessage(record=record))

    @staticmethod
    async def _send(socket: web.WebSocketResponse, message: Any) -> None:
        try:
            await socket.send_str(encode(message))
        except (ConnectionError, RuntimeError):
            return

    async def _cut(self) -> int:
        sockets = list(self._sockets)
        for socket in sockets:
            transport = socket._req.transport if socket._req else None
            if transport is not None:
                transport.abort()
            self._sockets.pop(socket, None)
            self._lists.discard(socket)
        return len(sockets)

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_get("/live", self._live)
        app.router.add_post("/api/tickets", self._ticket)
        app.router.add_get("/api/me", self._me)
        app.router.add_get("/api/jobs", self._jobs)
        app.router.add_get("/api/jobs/{job}", self._job)
        app.router.add_get("/api/jobs/{job}/batches", self._batches)
        self.add_routes(app)
        app.router.add_get("/config.json", self._config)
        app.router.add_get("/{path:.*}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._cut()
        if self._runner is not None:
            await self._runner.cleanup()

    def refused(self, request: web.Request) -> web.Response | None:
        self.requests.append(f"{request.method} {request.path_qs}")
        if request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        grant = self.grant(request)
        if grant is not None and not grant.get("revoked") and grant["expires"] * 1000 > _now_ms():
            return None
        # API Gateway's own answer, whatever the reason.
        return web.json_response({"message": "Forbidden"}, status=403)

    def add_routes(self, app: web.Application) -> None:
        """Add routes to the HTTP API."""

    def grant(self, _request: web.Request) -> dict[str, Any] | None:
        """Return the share link behind a request, as the registry keeps it."""
        return None

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response({"api": "/api", "live": f"ws://127.0.0.1:{self.port}/live", "auth": {"kind": "key"}})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = (self.dist / (request.match_info["path"] or "index.html")).resolve()
        if not path.is_relative_to(self.dist.resolve()) or not path.is_file():
            raise web.HTTPNotFound
        csp = CSP.format(live=f"ws://127.0.0.1:{self.port}")
        headers = {"Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)

    async def _ticket(self, request: web.Request) -> web.Response:
        if refused := self.refused(request):
            return refused
        ticket = secrets.token_urlsafe(24)
        self.tickets.add(ticket)
        self.tickets_given += 1
        return web.json_response({"ticket": ticket, "expires": BEGAN_US // 1000})

    async def _me(self, request: web.Request) -> web.Response:
        grant = self.grant(request)
        who = {"principal": "me", "subject": "me", "groups": ["local"], "admin": False}
        if grant is not None:
            name = f"share-{grant['pk'].removeprefix('GRANT#')}"
            who = {"principal": name, "subject": "", "groups": [], "admin": False, "job": grant["job"]}
        return self.refused(request) or web.json_response(who)

    def readable(self, job: str, request: web.Request | None = None) -> Job | None:
        found = self.jobs.get(job)
        grant = None if request is None else self.grant(request)
        if found is None or found.record.owner != "local" or (grant is not None and grant["job"] != job):
            return None
        return found

    async def _jobs(self, request: web.Request) -> web.Response:
        if refused := self.refused(request):
            return refused
        mine = [job for job in self.jobs.values() if self.readable(job.record.job, request)]
        at, limit = int(request.query.get("next", 0)), int(request.query.get("limit", 100))
        records = [
            job.record.model_copy(update={"tip": job.tip}).model_dump(mode="json", exclude_none=True)
            for job in mine[at : at + limit]
        ]
        return web.json_response({"jobs": records, "next": str(at + limit) if at + limit < len(mine) else None})

    async def _job(self, request: web.Request) -> web.Response:
        if refused := self.refused(request):
            return refused
        job = self.readable(request.match_info["job"], request)
        if job is None:
            return problem(404, "There is no such job, or it is another owner's.")
        return web.json_response(
            job.record.model_copy(update={"tip": job.tip}).model_dump(mode="json", exclude_none=True)
        )

    async def _batches(self, request: web.Request) -> web.Response:
        if refused := self.refused(request):
            return refused
        job = self.readable(request.match_info["job"], request)
        if job is None:
            return problem(404, "There is no such job, or it is another owner's.")
        if self.history_delay:
            await asyncio.sleep(self.history_delay)
        limit = min(int(request.query.get("limit", 100)), PAGE_BATCHES)
        if "before" in request.query:
            before = int(request.query["before"])
            end = len(job.batches) if before > job.tip else index_of(job.batches, before - 1) + 1
            begin = end - _fit(reversed(job.batches[:end]), limit)
            more = begin > 0
        else:
            begin = index_of(job.batches, int(request.query.get("after", 0)) + 1)
            end = begin + _fit(job.batches[begin:], limit)
            more = end < len(job.batches)
        kept = kept_from(HistoryRange.of(dict(request.query)), job.facts[begin:end], job.tip, more=more)
        return web.Response(text=self.page_of(job, begin, end, more, kept), content_type="application/json")

    def page_of(self, job: Job, begin: int, end: int, more: bool, kept: int | None) -> str:
        """Return the document of a page of history."""
        return json.dumps({"tip": job.tip, "kept": kept, "batches": job.facts[begin:end], "more": more})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            raise web.HTTPForbidden
        self.tickets.discard(ticket)
        socket = web.WebSocketResponse(max_msg_size=32_768)
        await socket.prepare(request)
        watched: set[str] = set()
        self._sockets[socket] = watched
        try:
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    await self._answer(socket, watched, decode(frame.data, FROM_VIEWER))
        finally:
            self._sockets.pop(socket, None)
            self._lists.discard(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, watched: set[str], message: Any) -> None:
        match message:
            case Subscribe(id=request, job=str() as job):
                found = self.readable(job)
                if found is None:
                    await self._send(
                        socket,
                        Error(id=request, code="not_found", message="There is no such job, or it is another owner's."),
                    )
                    return
                watched.add(job)
                record = found.record.model_copy(update={"tip": found.tip})
                await self._send(socket, Subscribed(id=request, job=job, tip=found.tip, record=record))
            case Subscribe(id=request):
                self._lists.add(socket)
                await self._send(socket, Subscribed(id=request))
            case Unsubscribe(id=request, job=job):
                watched.discard(job or "")
                await self._send(socket, Unsubscribed(id=request))
            case Ping(id=request):
                await self._send(socket, ViewerPong(id=request, tips={job: self.jobs[job].tip for job in watched}))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def lossy(rng: random.Random) -> Callable[[list[BatchFacts]], list[BatchFacts]]:
    """Broadcast with all faults: some lost, some twice, in any order."""

    def mangle(batches: list[BatchFacts]) -> list[BatchFacts]:
        kept = [batch for batch in batches if rng.random() > 0.2]
        kept += [batch for batch in kept if rng.random() < 0.2]
        rng.shuffle(kept)
        return kept

    return mangle


def _fit(batches: Iterable[BatchFacts], limit: int) -> int:
    """Return how many of these batches fit into one page of history."""
    left, count = PAGE_BYTES, 0
    for facts in batches:
        left -= len(facts.body)
        if count >= limit or (count > 0 and left < 0):
            break
        count += 1
    return count


def index_of(batches: Sequence[BatchFacts], sequence: int) -> int:
    """Return the index of the first batch that ends at or after a sequence."""
    low, high = 0, len(batches)
    while low < high:
        middle = (low + high) // 2
        if batches[middle].last < sequence:
            low = middle + 1
        else:
            high = middle
    return low


def problem(status: int, detail: str) -> web.Response:
    body = {"type": "about:blank", "title": detail, "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")
