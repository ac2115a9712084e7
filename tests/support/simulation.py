"""Simulate all of Logferry over an unreliable network, in one thread, with time controlled by the test.

    Source ─► Pipeline + spool ══ link ══► ingest ─► tables ─► stream ─► broadcast ══ link ══► Reader
                                                       └──────── query ◄── history ─────────────┘

Everything between the two ends is the real code: the agent's pipeline with its SQLite spool, the functions' handlers
with their stores on tables in memory, and the reader of `logferry tail`. Simulated are the network, which loses,
repeats, delays (and so reorders) and cuts; the functions' processes, two each, which crash after their work; the
stream, which delivers in any grouping and order, perhaps again or never; and the disk, which can be lost or rolled
back. A `Simulation` is deterministic: the same seed and the same steps are the same run.
"""

from __future__ import annotations

import heapq
import itertools
import json
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.support.batches import batch_document
from tests.support.bucket import MemoryBucket
from tests.support.tables import failure, logferry_tables, stream_record

import broadcast.app
import broadcast.delivery
import broadcast.store
import connect.app
import connect.message_handler
import connect.store
import ingest.app
import ingest.service
import ingest.store
import query.archive_reader
import query.current_tips
import query.history
import query.service
import query.store
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.ports import Job, Offer, Position
from logferry_agent.edge.cloud_socket import Connected, Frame, Lost
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_cli.reader import HOLE_BACKOFF, Page, Reader, Run
from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.job import Container, LifeCycle, job_id
from logferry_protocol.messages import (
    TO_VIEWER,
    BatchFacts,
    BatchMessage,
    Ping,
    Subscribe,
    Subscribed,
    ViewerPong,
    decode,
    encode,
)
from registry import items
from registry.archive_index import Index
from registry.principal import Principal
from runtime.websocket_push import ConnectionBusyError, ConnectionGoneError

AGENT = Principal(kind="agent", name="host", credential="a" * 12, owner="team")
VIEWER = Principal(kind="viewer", name="me", credential="v" * 12, subject="team")
START_MS = 1_764_000_000_000
INTERNAL = json.dumps({"message": "Internal server error", "connectionId": "x=", "requestId": "y"})
"""API Gateway's answer for a function that crashed: no type, and no request id."""


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """Shares between 0 and 1, and how long a message may take."""

    lose: float = 0.0
    repeat: float = 0.0
    delay_s: float = 0.05
    crash: float = 0.0
    """A function crashes right after one of its writes."""
    throttle: float = 0.0
    """A table throttles."""
    silent: float = 0.0
    """A stream record is never broadcast."""
    busy: float = 0.0
    """A connection is throttled (429)."""


NO_FAULTS = NetworkFaults()


def _ignore(_text: str) -> None:
    """Take a message to a connection that is gone."""


def _cursor_after(begin: int, count: int) -> str:
    return str(begin + count)


class CrashError(BaseException):
    """A function's process is gone. No handler may catch it."""


class _InlineExecutor(Executor):
    """Run work at once, in this thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _DiscardingLogger:
    """A logger and metrics that discard everything."""

    def __getattr__(self, name: str) -> _DiscardingLogger:
        return self

    def __call__(self, *_args: Any, **_more: Any) -> _DiscardingLogger:
        return self

    def __bool__(self) -> bool:
        return False


class Simulation:
    """Time, the network, and all its participants."""

    def __init__(self, folder: Path, seed: int, weather: NetworkFaults, jobs: int = 1) -> None:
        # The pipeline takes its first `now` from the machine's clock; ours must not be earlier.
        self.now = self._began = time.monotonic()
        self.rng = Random(seed)
        self.weather = weather
        self.counts: Counter[str] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.cloud = Cloud(self)
        self.source = Source(self, [f"{number:064x}" for number in range(1, jobs + 1)])
        self.agent = Agent(self, folder)
        self.twin = Agent(self, folder / "twin")
        """A second agent on the same engine, although only one is allowed."""
        self.viewers: list[Viewer] = []
        self.left: list[Viewer] = []
        self.agent.start()

    def now_ms(self) -> int:
        """Return the time of day."""
        return START_MS + int((self.now - self._began) * 1000)

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Schedule an action."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), do))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = end

    def chance(self, what: str, share: float) -> bool:
        """Report whether something happens now."""
        happens = share > 0 and self.rng.random() < share
        self.counts[what] += happens
        return happens

    def carry(self, deliver: Callable[[], None]) -> None:
        """Send something over the network: perhaps late, perhaps twice, perhaps not."""
        if self.chance("lost", self.weather.lose):
            return
        for _ in range(2 if self.chance("repeated", self.weather.repeat) else 1):
            self.after(self.rng.uniform(0.0, self.weather.delay_s), deliver)

    def join(self, after: int = 0, job: int = 0) -> Viewer:
        """Add a viewer of a job, from a sequence on."""
        viewer = Viewer(self, self.source.jobs[job % len(self.source.jobs)], after)
        self.viewers.append(viewer)
        return viewer

    def settle(self, seconds: float = 400.0) -> None:
        """End all faults, and give every participant time to catch up."""
        self.weather = NO_FAULTS
        self.cloud.revive()
        if self.twin.alive:
            self.twin.kill()
        if not self.agent.alive:
            self.agent.start()
        self.run(seconds)


class Cloud:
    """The functions, two processes each, on tables in memory."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self.tables = logferry_tables()
        self.tips: Counter[str] = Counter()
        self.violations: list[str] = []
        """Observed violations of the invariants, in stored data or in answers."""
        self.connections: dict[str, Callable[[str], None]] = {}
        """The receiver of each open connection's frames."""
        self._ids = itertools.count(1)
        self._numbers = itertools.count(1)
        self._stream: deque[dict[str, Any]] = deque()
        for principal in (AGENT, VIEWER):
            self._register(principal)
        self.tables.changed = self._changed
        self.tables.after = self._after
        self.tables.before = self._before
        connect.message_handler._watched_until.clear()  # one process's memory, and each simulation has its own
        self._processes = [self._new_process() for _ in range(2)]
        self._broadcast = self._new_broadcast()
        store = query.store.Store(self.tables, "log", "registry")
        archive = query.archive_reader.ArchiveReader(
            Index(self.tables, "registry"), MemoryBucket, "archive", world.now_ms
        )
        history = query.history.History(store, archive, world.now_ms)
        quiet: Any = _DiscardingLogger()
        growth = query.current_tips.CurrentTips(store, _InlineExecutor(), quiet)
        self._query = query.service.Service(
            store, history, growth, origins=[], erase=lambda _job: None, now_ms=world.now_ms
        )

    def _register(self, principal: Principal) -> None:
        key = items.credential_key(principal.credential)
        self.tables.put_item(TableName="registry", Item={**key, **items.to_item({"principal": principal.name})})
        self.tables.put_item(TableName="registry", Item=items.principal_key(principal.name))

    # --- processes ---------------------------------------------------------------------------------------------------

    def _new_process(self) -> Mapping[str, Callable[[Mapping[str, Any], Any], Any]]:
        quiet: Any = _DiscardingLogger()
        now_ms = self.world.now_ms
        service = ingest.service.Service(
            ingest.store.Store(self.tables, "log", "registry", 30),
            _InlineExecutor(),
            quiet,
            quiet,
            now_ms,
            notify_ended=lambda _jobs: None,
        )
        nothing: Any = None
        return {
            "host": ingest.app.build_handler(service, quiet, quiet, now_ms),
            "me": connect.app.build_handler(
                connect.store.Store(self.tables, "registry", "log"),
                nothing,
                lambda: self._post,
                logger=quiet,
                metrics=quiet,
                now_ms=now_ms,
            ),
        }

    def _new_broadcast(self) -> Callable[[Mapping[str, Any], Any], Any]:
        quiet: Any = _DiscardingLogger()
        store = broadcast.store.Store(self.tables, "registry")
        clock = broadcast.delivery.Clock(self.world.now_ms, lambda _seconds: None, self.world.rng.random)
        delivery = broadcast.delivery.Delivery(
            store, self._post, _InlineExecutor(), quiet, close=lambda _connection: None, clock=clock
        )
        return broadcast.app.build_handler(store, delivery, {}, quiet, quiet)

    def revive(self) -> None:
        """Replace the processes as after a deployment: with empty memory."""
        self._processes = [self._new_process() for _ in range(2)]

    # --- faults of the tables ----------------------------------------------------------------------------------------

    def _before(self, operation: str, _table: str) -> None:
        if self.world.chance("throttled", self.world.weather.throttle):
            raise failure(operation, "ProvisionedThroughputExceededException")

    def _after(self, operation: str, _table: str) -> None:
        if operation in ("PutItem", "UpdateItem") and self.world.chance("crashed", self.world.weather.crash):
            raise CrashError

    # --- stored data -------------------------------------------------------------------------------------------------

    def _changed(self, table: str, event: str, keys: dict[str, Any], image: dict[str, Any]) -> None:
        if table == "log":
            item = items.from_item(image)
            # Recorded and not raised: a function would treat it as its own failure, and continue.
            if event != "INSERT":
                self.violations.append(f"a stored batch was replaced: {item['first']}")
                return
            if item["first"] != self.tips[item["job"]] + 1:
                self.violations.append(f"not a gap-free prefix: {item['first']} after {self.tips[item['job']]}")
            self.tips[item["job"]] = item["first"] + item["count"] - 1
        elif items.from_item(keys)["sk"] != "JOB":
            return
        if self.world.chance("not broadcast", self.world.weather.silent):
            return
        record = stream_record(event, keys, image, next(self._numbers))
        for _ in range(2 if self.world.chance("broadcast twice", self.world.weather.repeat) else 1):
            self._stream.append(record)
            self.world.after(self.world.rng.uniform(0.0, 4 * self.world.weather.delay_s), self._deliver)

    def _deliver(self) -> None:
        if not self._stream:
            return
        group = self.world.rng.sample(list(self._stream), self.world.rng.randint(1, len(self._stream)))
        for record in group:
            self._stream.remove(record)
        with suppress(CrashError):
            self._broadcast({"Records": group}, None)

    # --- connections -------------------------------------------------------------------------------------------------

    def connected(self, principal: Principal, take: Callable[[str], None]) -> str:
        """Open a connection whose frames go to `take`, and return its id."""
        connection = f"connection-{next(self._ids)}="
        if principal is VIEWER:
            with suppress(CrashError):
                self._invoke(principal, connection, "CONNECT")
        self.connections[connection] = take
        return connection

    def disconnected(self, principal: Principal, connection: str) -> None:
        """End a connection; the function may never learn of it."""
        if self.connections.pop(connection, None) and not self.world.chance("no $disconnect", self.world.weather.lose):
            with suppress(CrashError):
                self._invoke(principal, connection, "DISCONNECT")

    def message(self, principal: Principal, connection: str, text: str) -> None:
        """Deliver a client's message."""
        answer = self._answer(principal, connection, text)
        self.world.carry(lambda: self.connections.get(connection, _ignore)(answer))

    def _answer(self, principal: Principal, connection: str, text: str) -> str:
        try:
            answer = str(self._invoke(principal, connection, "MESSAGE", text)["body"])
        except CrashError:
            return INTERNAL
        if principal is AGENT:
            self._check_acknowledgement(json.loads(text), json.loads(answer))
        return answer

    def _check_acknowledgement(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Check that what is acknowledged is stored, since the agent deletes it."""
        for result in answer.get("results", ()):
            if result["outcome"] in ("stored", "duplicate"):
                [sent] = (one for one in request["batches"] if one["job"] == result["job"])
                stored = self.tables.tables["log"].partitions.get(job_id(AGENT.name, sent["job"]), {})
                there = stored.get(sent["first"], {})
                if there.get("digest") != {"S": sent["digest"]}:
                    self.violations.append(f"acknowledged and not stored: {sent['first']} ({result['outcome']})")

    def _invoke(self, principal: Principal, connection: str, kind: str, body: str = "") -> Any:
        context = {"connectionId": connection, "eventType": kind, "authorizer": principal.to_context()}
        which = self.world.rng.randrange(len(self._processes))
        try:
            return self._processes[which][principal.name]({"requestContext": context, "body": body}, None)
        except CrashError:
            self._processes[which] = self._new_process()
            raise

    def _post(self, connection: str, frame: bytes) -> None:
        take = self.connections.get(connection)
        if take is None:
            raise ConnectionGoneError(connection)
        if self.world.chance("busy", self.world.weather.busy):
            raise ConnectionBusyError(connection)
        text = frame.decode()
        self.world.carry(lambda: self.connections.get(connection, _ignore)(text))

    def send_faulty_batch(self, job: str, ahead: int) -> None:
        """Send a faulty agent's batch with a hole behind the tip; or, 0 ahead, with other bytes than those stored.

        Nothing of it may be stored or acknowledged.
        """
        if not (stored := self.tables.tables["log"].partitions.get(job)):
            return
        first = self.tips[job] + 1 + ahead if ahead else max(stored)
        batch = batch_document(first, job=job.rpartition(".")[2])
        self.message(AGENT, "stray=", json.dumps({"type": "ingest", "id": "stray", "batches": [batch]}))

    def history(self, job: str, after: int) -> Page | None:
        """Return a page of history, as the HTTP API gives it; None when it fails."""
        try:
            document = json.loads(json.dumps(self._query.batches(VIEWER, job, {"after": str(after), "limit": "3"})))
        except (Exception, CrashError):  # a throttled table, a job that does not exist yet, a process that is gone
            return None
        batches = [BatchFacts.model_validate(batch) for batch in document["batches"]]
        return Page(document["tip"], batches, document["more"])

    def entries(self, job: str) -> list[str]:
        """Return every stored text of a job, in order."""
        page, texts = Page(0, [], True), list[str]()
        reader = Reader(lambda: 0.0)
        while page.more:
            found = self.history(job, reader.position)
            assert found is not None
            page = found
            for batch in page.batches:
                assert isinstance(batch, BatchFacts)
                reader.receive(batch, 0.0)
            for run in reader.take():
                assert isinstance(run, Run)
                texts += run.columns.texts
        return texts


class Source:
    """The containers and what they write."""

    def __init__(self, world: Simulation, containers: Iterable[str]) -> None:
        self.world = world
        self.containers = list(containers)
        self.lines: dict[str, list[str]] = {container: [] for container in self.containers}

    @property
    def jobs(self) -> list[str]:
        """Return the jobs' whole ids."""
        return [f"{AGENT.name}.{container}" for container in self.containers]

    def written(self, job: str) -> list[str]:
        """Return all lines of a job."""
        return self.lines[job.rpartition(".")[2]]

    def write(self, job: int, count: int) -> None:
        """Write lines as a container."""
        lines = self.lines[self.containers[job % len(self.containers)]]
        size = self.world.rng.choice((10, 40, 3000))
        lines += [f"{len(lines) + n + 1} " + self.world.rng.randbytes(size).hex() for n in range(count)]


class FakeReader:
    """An agent's reader of these containers: a cursor is a count of lines."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self._lines = world.source.lines
        self._positions: dict[str, tuple[int, int]] = {}

    def appear(self, pipeline: Pipeline) -> None:
        """Discover the containers after the agent has started."""
        for container in self._lines:
            self.reread(container, pipeline.intake.job_appeared(_job(container)))

    def reread(self, job_id: str, position: Position) -> None:
        """Read from another position on."""
        self._positions[job_id] = (position.epoch, int(position.cursor or 0))

    def start(self, sink: Any) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""

    def read(self, pipeline: Pipeline) -> None:
        """Offer what was written since, in chunks of any size."""
        for container, (epoch, begin) in list(self._positions.items()):
            fresh = self._lines[container][begin : begin + self.world.rng.randint(1, 40)]
            if not fresh:
                continue
            times = [(START_MS + begin + n) * 1000 for n in range(len(fresh))]
            chunk = Chunk(times, "o" * len(fresh), fresh, sum(map(len, fresh)), partial(_cursor_after, begin))
            if pipeline.intake.offer(container, epoch, chunk) is Offer.TAKEN:
                self._positions[container] = (epoch, begin + len(fresh))


class Agent:
    """The real pipeline and spool, run step by step."""

    def __init__(self, world: Simulation, folder: Path) -> None:
        self.world = world
        self.folder = folder / "spool"
        self.reading = FakeReader(world)
        self._saved = folder / "saved"
        self.alive = False
        self._generation = 0
        self._links: dict[int, str] = {}
        self._numbers = itertools.count(1)
        self._pipeline: Pipeline
        self._spool: Spool

    def start(self) -> None:
        """Start on what the disk holds."""
        self.alive = True
        self._generation += 1
        self._spool = Spool(self.folder, "engine")
        limits = PipelineSettings(flush_interval=5.0, answer_timeout=10.0)
        self._pipeline = Pipeline(self._spool, "engine", limits, Metrics(), rng=Random(self.world.rng.random()))
        # As `start` does, without its thread: the simulation runs it step by step.
        self._pipeline.attach(self, self.reading)
        self.reading.appear(self._pipeline)
        self._connect(self._generation)
        self._tick(self._generation)

    def kill(self) -> None:
        """Kill it: what was not committed to the disk is lost."""
        self.alive = False
        self.cut()
        self._spool.close()

    def lose_disk(self) -> None:
        """Lose the disk of a dead agent."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def save_disk(self) -> None:
        """Save a snapshot of a dead agent's disk."""
        shutil.rmtree(self._saved, ignore_errors=True)
        shutil.copytree(self.folder, self._saved)

    def roll_back_disk(self) -> None:
        """Restore the snapshot of a dead agent's disk."""
        if self._saved.exists():
            self.lose_disk()
            shutil.copytree(self._saved, self.folder)

    def cut(self) -> None:
        """Break its connections."""
        for link in list(self._links):
            self._lost(link)

    # --- the pipeline's links -----------------------------------------------------------------------------------------

    def send(self, link: int, text: str) -> None:
        """Send a frame."""
        if (connection := self._links.get(link)) is not None:
            self.world.carry(lambda: self.world.cloud.message(AGENT, connection, text))

    def close(self, link: int) -> None:
        """Close a connection that the pipeline gave up."""
        self._lost(link)

    def _connect(self, generation: int) -> None:
        if generation != self._generation or not self.alive or self._links:
            return
        link = next(self._numbers)

        def take(text: str) -> None:
            if link in self._links:
                self._post(generation, Frame(link, text))

        self._links[link] = self.world.cloud.connected(AGENT, take)
        self._post(generation, Connected(link))

    def _lost(self, link: int) -> None:
        connection = self._links.pop(link, None)
        if connection is None:
            return
        self.world.cloud.disconnected(AGENT, connection)
        generation = self._generation
        if self.alive:
            self._pipeline.post(Lost(link, 1006, ""))
            self.world.after(self.world.rng.uniform(0.0, 2.0), lambda: self._connect(generation))

    def _post(self, generation: int, event: Connected | Frame | Lost) -> None:
        if generation == self._generation and self.alive:
            self._pipeline.post(event)
            self._pipeline.turn(self.world.now)

    def _tick(self, generation: int) -> None:
        if generation != self._generation or not self.alive:
            return
        self.reading.read(self._pipeline)
        self._pipeline.turn(self.world.now)
        self.world.after(0.25, lambda: self._tick(generation))


class Viewer:
    """The reader of `logferry tail`, driven as by its live connection."""

    def __init__(self, world: Simulation, job: str, after: int) -> None:
        self.world = world
        self.job = job
        self.after = after
        self.reader = Reader(world.rng.random, after)
        self.seen: list[tuple[int, str]] = []
        """Every entry that was handed out."""
        self.told = after
        """The job's last known sequence."""
        self._connection: str | None = None
        self._subscribed = False
        self._requests = itertools.count(1)
        self._stood: dict[str, int] = {}
        """The job's last sequence at each subscription request."""
        self._fetching = 0
        self._connect()
        self._tick()

    def cut(self) -> None:
        """Break its connection."""
        if self._connection is not None:
            self.world.cloud.disconnected(VIEWER, self._connection)
            self._connection = None
            self.world.after(self.world.rng.uniform(0.0, 2.0), self._connect)

    def _connect(self) -> None:
        if self._connection is None:
            self._subscribed = False
            self._connection = self.world.cloud.connected(VIEWER, self._take)
            self._subscribe()
            self._ping(self._connection)

    def _send(self, message: Subscribe | Ping) -> None:
        connection = self._connection
        if connection is not None:
            self.world.carry(lambda: self.world.cloud.message(VIEWER, connection, encode(message)))

    def _subscribe(self) -> None:
        request = f"s{next(self._requests)}"
        self._stood[request] = self.world.cloud.tips[self.job]
        self._send(Subscribe(id=request, job=self.job, after=self.reader.position))
        connection = self._connection
        self.world.after(10.0, lambda: self._again(connection))

    def _again(self, connection: str | None) -> None:
        """Request the subscription again, as `subscribed` did not come."""
        if not self._subscribed and connection == self._connection is not None:
            self._subscribe()

    def _ping(self, connection: str) -> None:
        if connection == self._connection:
            self._send(Ping(id=f"p{next(self._requests)}"))
            self.world.after(30.0, lambda: self._ping(connection))

    def _take(self, text: str) -> None:
        try:
            message = decode(text, TO_VIEWER)
        except MalformedMessageError:
            return
        match message:
            case Subscribed(job=self.job):
                self._subscribed = True
                if (message.tip or 0) < self._stood[message.id]:
                    self.world.cloud.violations.append(f"subscribed at {message.tip}, of {self._stood[message.id]}")
                self.told = max(self.told, message.tip or 0)
                self.reader.update_tip(message.tip or 0, self.world.now, at_once=True)
            case BatchMessage(job=self.job):
                for batch in message.batches:
                    self.told = max(self.told, batch.last)
                    self.reader.receive(batch, self.world.now)
            case ViewerPong():
                self.told = max(self.told, message.tips.get(self.job, 0))
                self.reader.update_tip(message.tips.get(self.job, 0), self.world.now)
            case _:
                pass
        self._hand_out()

    def _tick(self) -> None:
        if (asked := self.reader.request(self.world.now)) is not None:
            self._fetching += 1
            self.world.after(self.world.rng.uniform(0.0, self.world.weather.delay_s), lambda: self._fetch(asked))
        self._hand_out()
        self.world.after(0.1, self._tick)

    def _fetch(self, after: int) -> None:
        self._fetching -= 1
        lost = self.world.chance("history lost", self.world.weather.lose)
        page = None if lost else self.world.cloud.history(self.job, after)
        if page is None:
            self.reader.failed(self.world.now)
        else:
            self.told = max(self.told, page.tip)
            self.reader.answer(page, self.world.now)
        self._hand_out()

    def _hand_out(self) -> None:
        for run in self.reader.take():
            assert isinstance(run, Run), f"the reader took stored entries for lost: {run}"
            self.seen += enumerate(run.columns.texts, run.first)
        self._check_progress()

    def _check_progress(self) -> None:
        """Check that a reader waits for, or soon requests, everything that it knows of and lacks."""
        due = self.reader.due
        asks = self._fetching or (due is not None and due <= self.world.now + HOLE_BACKOFF.longest_s)
        if self.told > self.reader.position and not asks:
            self.world.cloud.violations.append(f"a reader at {self.reader.position} leaves it at that, of {self.told}")


def _job(container: str) -> Job:
    return Job(container, Container(name="web", image="app", host="host"), LifeCycle(state="running", created=START_MS))
