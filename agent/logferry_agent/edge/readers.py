"""Discovery and both sources, put together: what the agent reads with."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

import structlog

from logferry_protocol.events import Notice
from logferry_protocol.job import Container, LifeCycle

from ..core.batching.cursor import LEFT_OUT, Cursor, UnknownCursorError, decode, decode_damaged
from ..core.batching.entry_sequencer import EntrySequencer
from ..core.batching.lifecycle import RunState
from ..core.batching.ports import Job, Offer, Position, Reader, Sink
from ..core.batching.processing import ProcessingOptions
from ..core.container import label_settings, oom
from ..core.container.ecs_task import EcsTask
from ..core.container.filters import ContainerFilters, parse_start_at
from ..core.container.metadata import ContainerMetadata, from_event, from_inspect, map_log_path
from ..core.redaction.redaction import compile_rules
from .api_loop import ApiLoop
from .api_source import ApiSource
from .container_reader import ContainerReader, TrackedSource, lost_job_gap
from .discovery import Discovery
from .docker_client import DockerClient, Engine, is_container
from .ecs_metadata import TaskLookup
from .file_loop import FileLoop
from .file_source import FileSource
from .preencode_pool import PreencodePool
from .unreadable_source import ExcludedSource, UnreadableSource

log = structlog.get_logger()

_STOP_S: Final = 2.5
_EXIT_CODE_LABEL: Final = "exitCode"
"""A label of this name stands in the place of the engine's own attribute of a `die` event."""
_EXIT_CODE: Final = re.compile(r"-?[0-9]{1,10}")
_MAJOR: Final = re.compile(r"[0-9]{1,9}")
_CONTAINER_IN_PATH: Final = re.compile(r"/containers/([0-9a-f]{64})/")


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """What can be set of reading; the agent's settings of the same names describe them."""

    docker_host: str | None = None
    docker_root: Path | None = None
    source: Literal["auto", "file", "api"] = "auto"
    discover: Literal["all", "labelled"] = "all"
    include_names: Sequence[str] = ()
    exclude_names: Sequence[str] = ()
    include_images: Sequence[str] = ()
    exclude_images: Sequence[str] = ()
    include_labels: Sequence[str] = ()
    exclude_labels: Sequence[str] = ()
    start_at: str = "1h"
    first_seen: int = 0
    max_deleted_bytes: int = 1 << 30
    list_interval: float = 60.0
    host: str = ""
    processing: ProcessingOptions = field(default_factory=ProcessingOptions)
    allow_labels: Collection[str] = label_settings.ALL
    metadata_uri: str | None = None
    """ECS' task metadata endpoint, which it names in the environment of every container."""


def build_reader(
    settings: ReaderSettings, connection: DockerClient, engine: Engine | None = None, pool: PreencodePool | None = None
) -> EngineReader:
    """A reader of everything that the settings select on the engine behind the connection.

    engine: who that is, where it was asked just now.
    pool: for backlogs in files, where each line is processed by itself.

    Raises:
        EngineUnavailableError: the engine cannot be reached now.
    """
    return EngineReader(settings, connection, engine or connection.identity(), pool)


class EngineReader(Reader):
    """Reads every selected container of one engine."""

    def __init__(
        self, settings: ReaderSettings, connection: DockerClient, engine: Engine, pool: PreencodePool | None = None
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._engine = engine
        self._pool = pool
        self._host = settings.host or engine.name
        self._since = parse_start_at(settings.start_at, time.time_ns())
        self._filters = ContainerFilters(
            discover=settings.discover,
            include_names=settings.include_names,
            exclude_names=settings.exclude_names,
            include_images=settings.include_images,
            exclude_images=settings.exclude_images,
            include_labels=settings.include_labels,
            exclude_labels=settings.exclude_labels,
            own_container=find_own_container(),
        )
        self._lock = Lock()
        self._learning = Lock()
        """What is learnt of one life by two threads is learnt in one order."""
        self._readings: dict[str, ContainerReader] = {}
        self._api: dict[str, ApiLoop] = {}
        self._refused: dict[str, str] = {}
        """Containers that are not read, with the names that this was decided by: all else that counts never changes."""
        self._jobs_before: frozenset[str] = frozenset()
        """Containers that an earlier run of the agent read, to their end or not."""
        self._born: set[str] = set()
        """Created while we looked: their whole life is seen."""
        self._oom = oom.OomDetector()
        self._died: set[str] = set()
        """Whose last event in order was the end of a run: only then is a start event a new run's. The start that
        `inspect` tells of the same run is a little earlier than the event."""
        self.ready = False
        """Whether the engine's containers were listed once: nothing that is created from then on is missed."""
        self.task: EcsTask | None = None
        """The ECS task that the agent runs in, once the endpoint has told it."""
        self._lookup = TaskLookup(settings.metadata_uri, self._beside) if settings.metadata_uri else None
        self._root = Path(settings.docker_root or engine.root)
        self._sink: Sink
        self._files: FileLoop | None = None
        self._discovery = Discovery(connection, self, list_interval_s=settings.list_interval, engine_time=engine.time)

    # --- the pipeline's side ---

    def start(self, sink: Sink) -> None:
        """Begin to discover and read."""
        self._sink = sink
        self._jobs_before = frozenset(job.id for job in sink.known())
        if self._lookup is not None:
            self._lookup.start()
        containers = self._root / "containers"
        if self._settings.source != "api" and (self._settings.docker_root or self._connection.local):
            try:
                next(containers.iterdir(), None)
            except OSError as error:
                log.warning("log_files_unreadable", folder=str(containers), reason=str(error))
            else:
                limit = self._settings.max_deleted_bytes
                self._files = FileLoop(containers, sink, max_deleted_bytes=limit, pool=self._pool)
                self._files.start()
        if self._files is None and self._pool is not None:
            self._pool.stop()
        self._discovery.start()

    def reread(self, job_id: str, position: Position) -> None:
        """Read a job again from another position."""
        reading = self._readings.get(job_id)
        if reading is None:
            self._sink.job_ended(job_id)
        else:
            reading.move(position)

    def stop(self) -> None:
        """Read no more."""
        if self._lookup is not None:
            self._lookup.stop()
        self._discovery.stop(_STOP_S / 2)
        loops = list(self._api.values())
        for loop in loops:
            loop.stop()
        if self._files is not None:
            self._files.stop(_STOP_S)
        for loop in loops:
            loop.join(_STOP_S / 4)
        self._connection.close()

    def api_loops(self) -> list[ApiLoop]:
        """What is read through the API now."""
        return [loop for loop in list(self._api.values()) if not loop.done]

    # --- discovery's side ---

    def noticed(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        """Hold the log of a new container before anything else is known of it."""
        if action == "create":
            self._born.add(container)
        reading = self._readings.get(container)
        left_out = container in self._refused or (reading is not None and bool(reading.metadata.left_out))
        if action in {"create", "start"} and self._files is not None and not left_out:
            self._files.expect(container)
        with self._learning:
            if action == "start" and reading is not None:
                self._believe(reading)
                if self._begins(reading):
                    # A short life may be over before the engine could be asked about it.
                    reading.learn(_started(reading.metadata, time_ns))

    def wanted(self, summary: Mapping[str, Any], *, again: bool) -> bool:
        """Return whether to inspect a listed container.

        Only `inspect` tells whether one is to be read, so each is inspected once, and again when its name changed.
        """
        container = str(summary["Id"])
        reading = self._readings.get(container)
        if reading is not None:
            # A run between two lists whose events were lost shows nowhere but here, where no file tells of its lines.
            quiet = container in self._api and not reading.run_state.running
            known = reading.metadata
            renamed = _own_name(summary) not in {"", known.name}
            return not again or quiet or renamed or summary.get("State") != known.life.state
        return container not in self._refused or _own_name(summary) not in {"", self._refused[container]}

    def examined(self, found: Mapping[str, Any], *, action: str) -> None:
        """Begin to read it, or tell the reading how it is now."""
        named = self._filters.named_labels
        metadata = self._with_label_settings(from_inspect(found, self._host, self.task, named=named))
        reading = self._readings.get(metadata.id)
        if reading is not None:
            metadata = replace(metadata, left_out=self._refusal(metadata) or "")
        with self._learning:
            if reading is not None and metadata.run_state.started > reading.run_state.started:
                self._believe(reading)
            if action == "start":
                self._oom.forget(metadata.id)
            news = action == "start" if reading is None else reading.run_state.running
            metadata = self._judged(metadata, news=news)
        if reading is None:
            self._appear(metadata)
            return
        with self._learning:
            before = reading.metadata
            if metadata.run_state.running:
                self._died.discard(metadata.id)
            reading.learn(metadata)
        if bool(before.left_out) != bool(metadata.left_out):
            self._switch(reading)
        if action == "examine":
            reading.insist()
        if replace(before, run_state=metadata.run_state) != metadata:
            self._sink.job_changed(reading.job)

    def happened(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        """What only the event can tell: an end, or a container that is gone already."""
        reading = self._readings.get(container)
        if reading is None:
            if action in {"create", "start", "restart"}:
                named = self._filters.named_labels
                metadata = self._with_label_settings(
                    from_event(container, attributes, self._host, time_ns, self.task, named=named)
                )
                if action == "create":
                    run_state = RunState()
                    life = LifeCycle(state="created", created=time_ns // 1_000_000)
                    metadata = replace(metadata, run_state=run_state, life=life)
                self._appear(metadata)
            return
        with self._learning:
            learnt = self._learn_event(reading, action, attributes, time_ns)
        if learnt:
            self._sink.job_changed(reading.job)

    def _learn_event(self, reading: ContainerReader, action: str, attributes: Mapping[str, str], time_ns: int) -> bool:
        """Tell a reading what an event says; False when that is nothing."""
        if action == "die":
            self._died.add(reading.id)
            run_state = reading.run_state
            if time_ns < run_state.started:
                return False
            if _EXIT_CODE_LABEL in reading.metadata.labels:
                # The engine writes labels over its own word: only `inspect` tells how it ended, or nothing does.
                self._discovery.examine(reading.id)
                return False
            code = attributes.get("exitCode", "")
            ended = RunState(
                running=False,
                started=run_state.started or time_ns,
                ended=time_ns,
                exit_code=int(code) if _EXIT_CODE.fullmatch(code) else None,
                oom=run_state.oom,
                restarts=run_state.restarts,
            )
            judged = self._judge(reading.id, ended, news=run_state.running)
            if judged is not None:
                reading.learn_end(judged)
            return judged is not None
        if action == "kill":
            self._oom.record_kill(reading.id)
        elif action == "oom":
            self._oom.record_oom(reading.id)
        believed = self._believe(reading)
        if action == "start":
            self._oom.forget(reading.id)
        if action in {"start", "restart"} and self._begins(reading):
            reading.learn(_started(reading.metadata, time_ns))
        elif action == "destroy":
            reading.learn_end(replace(reading.run_state, running=False, gone=True))
        else:
            return believed
        return True

    def _judged(self, metadata: ContainerMetadata, *, news: bool) -> ContainerMetadata:
        """As described, or as still running while its end may yet turn out to be the kernel's doing."""
        run_state = self._judge(metadata.id, metadata.run_state, news=news)
        if run_state is None:
            return _started(metadata, metadata.run_state.started)
        return replace(metadata, run_state=run_state, life=metadata.life.model_copy(update={"oom": run_state.oom}))

    def _judge(self, container: str, run_state: RunState, *, news: bool) -> RunState | None:
        """See `OomWatch.judge`, which is asked again when it says so."""
        judged = self._oom.judge(container, run_state, time.monotonic(), news=news)
        if judged is None:
            self._discovery.examine(container, after_s=oom.WAIT_S)
        return judged

    def _believe(self, reading: ContainerReader) -> bool:
        """Learn the end that was waited with, as it is known now; False when there is none."""
        run_state = self._oom.settle(reading.id)
        if run_state is not None:
            reading.learn_end(run_state)
        return run_state is not None

    def listed(self, containers: set[str]) -> None:
        """End what is no longer there."""
        for container, reading in list(self._readings.items()):
            if container not in containers and not reading.gone:
                with self._learning:
                    self._believe(reading)
                reading.learn_end(replace(reading.run_state, running=False, gone=True))
                self._sink.job_changed(reading.job)
        self._refused = {container: name for container, name in self._refused.items() if container in containers}
        self._tidy()
        if not self.ready:
            self.ready = True
            self._end_lost(
                [job for job in self._sink.known() if job.id not in containers and job.id not in self._readings]
            )

    def troubled(self, problem: str | None) -> None:
        """The engine cannot be reached: said with every job, and in the log."""
        if problem is not None:
            log.warning("engine_unavailable", problem=problem)
        for container in list(self._readings):
            self._sink.job_troubled(container, problem)

    def _beside(self, task: EcsTask) -> None:
        """The agent's ECS task is known: from now on, and for what is read already."""
        self.task = task
        log.info("ecs_task", task=task.arn, cluster=task.cluster, definition=f"{task.family}:{task.revision}")
        for reading in list(self._readings.values()):
            metadata = reading.metadata.with_task(task)
            reading.metadata = replace(metadata, container=self._with_allowed_owner(metadata.container))
            self._sink.job_changed(reading.job)

    def _begins(self, reading: ContainerReader) -> bool:
        """Whether a start event begins a run that is not known yet."""
        begins = reading.run_state.started == 0 or (not reading.run_state.running and reading.id in self._died)
        self._died.discard(reading.id)
        return begins

    # --- readings ---

    def _with_label_settings(self, metadata: ContainerMetadata) -> ContainerMetadata:
        """Return the description with a notice for each label that asks for something in vain."""
        found = label_settings.apply_label_settings(
            self._settings.processing, metadata.labels, self._settings.allow_labels
        )
        notices = tuple(Notice(code="label", detail=problem) for problem in found.problems)
        if redaction := found.processing.redaction:
            rules = compile_rules(redaction)
            metadata = metadata.with_redacted_notices(lambda text: rules.hide_alone(text, Counter()))
        container = self._with_allowed_owner(metadata.container)
        return replace(metadata, container=container, notices=metadata.notices + notices)

    def _with_allowed_owner(self, container: Container) -> Container:
        if label_settings.OWNER in self._settings.allow_labels:
            return container
        return container.model_copy(update={"owner": None})

    def _refusal(self, metadata: ContainerMetadata) -> str | None:
        """Return why a container is not read; None when it is."""
        return self._filters.exclusion_reason(
            metadata.id,
            metadata.name,
            metadata.image,
            label_settings.allowed_labels(metadata.labels, self._settings.allow_labels),
            image_id=metadata.image_id,
        )

    def _refuse(self, metadata: ContainerMetadata, why: str) -> None:
        """Leave out a container that was never read."""
        log.info("container_not_read", container=metadata.id, name=metadata.name, because=why)
        self._refused[metadata.id] = metadata.name
        if self._files is not None:
            self._files.forget(metadata.id)

    def _switch(self, reading: ContainerReader) -> None:
        """Have a container read no more, or again, as it is described now."""
        why = reading.metadata.left_out
        log.info("container_read_no_more" if why else "container_read_again", container=reading.id, because=why or None)
        source = reading.source
        reading.renew()
        if reading.id in self._api:
            self._api[reading.id].interrupt(source)

    def _appear(self, metadata: ContainerMetadata) -> None:
        container = metadata.id
        if not is_container(container):
            log.warning("container_without_id", id=container[:80])
            return
        if why := self._refusal(metadata):
            if container not in self._jobs_before:
                self._refuse(metadata, why)
                return
            # An earlier run of the agent read it. Its job must not stay as that run left it.
            log.info("container_read_no_more", container=container, because=why)
            metadata = replace(metadata, left_out=why)
        self._refused.pop(container, None)
        # A first run that nothing ended before is seen whole, whenever we came.
        fresh = container in self._born or not metadata.run_state.ended
        reading = ContainerReader(metadata, self._make_source, fresh=fresh)
        reading.doubtful = lambda: self._discovery.examine(container)
        with self._lock:
            self._readings[container] = reading
        self._born.discard(container)
        by_file = self._by_file(metadata)
        only_files = self._settings.source == "file"
        reading.expected_source = (
            "none" if metadata.left_out or (only_files and not by_file) else "file" if by_file else "api"
        )
        position = self._sink.job_appeared(reading.job)
        reading.move(position)
        if by_file and self._files is not None:
            self._files.add(reading)
        else:
            loop = ApiLoop(reading, self._sink)
            self._api[container] = loop
            loop.start()
        self._sink.job_changed(reading.job)

    def _by_file(self, metadata: ContainerMetadata) -> bool:
        if self._files is None or self._settings.source == "api":
            return False
        # Without a driver it was gone before it could be inspected: only a file that is held already can tell.
        return metadata.container.driver in {"", "json-file"} and self._path(metadata) is not None

    def _path(self, metadata: ContainerMetadata) -> Path | None:
        if not metadata.log_path:
            return self._root / "containers" / metadata.id / f"{metadata.id}-json.log"
        path = map_log_path(self._engine.root, metadata.log_path, str(self._root))
        return Path(path) if path is not None else None

    def _make_source(self, metadata: ContainerMetadata, sequencer: EntrySequencer) -> TrackedSource:
        if metadata.left_out:
            if self._files is not None:
                self._files.forget(metadata.id)
            return ExcludedSource(sequencer, metadata.left_out)
        born = metadata.created >= self._settings.first_seen
        since = 0 if born else self._since
        path = self._path(metadata)
        if self._files is not None and path is not None and self._by_file(metadata):
            labels = metadata.container.labels
            processing = label_settings.apply_label_settings(
                self._settings.processing, labels, self._settings.allow_labels
            ).processing
            source: FileSource = self._files.source_for(
                metadata.id,
                path,
                sequencer,
                since=since,
                max_size=metadata.max_size,
                redaction=processing.redaction if processing.by_line else None,
            )
            return source
        if self._settings.source == "file":
            driver = metadata.container.driver
            return UnreadableSource(
                sequencer,
                f"it is in no log file that the agent can read (driver {driver}), and `source` is set to `file`",
            )
        api = ApiSource(
            self._connection,
            metadata.id,
            sequencer,
            tty=metadata.container.tty,
            since=since,
            max_size=metadata.max_size,
            replays=_major(self._engine.version) < 23,
            # A little less, as what records take in the file is reckoned.
            born_below=metadata.max_size * (metadata.max_file - 1) * 9 // 10 if born else 0,
        )
        api.troubled = lambda problem: self._sink.job_troubled(metadata.id, problem)
        return api

    def _tidy(self) -> None:
        for container, loop in list(self._api.items()):
            if loop.done:
                del self._api[container]
        for container, reading in list(self._readings.items()):
            if reading.done:
                with self._lock:
                    del self._readings[container]
                self._oom.forget(container)

    def _end_lost(self, jobs: list[Job]) -> None:
        """Containers that were removed while no agent looked: say so, and end them."""
        for job in jobs:
            position = self._sink.job_appeared(job)
            try:
                cursor = decode(position.cursor) if position.cursor else Cursor()
            except UnknownCursorError:
                cursor = decode_damaged(position.cursor or "")
            self._sink.misplaced(job.id, position.epoch)
            sequencer = EntrySequencer(cursor)
            now = time.time_ns()
            left_out = LEFT_OUT in cursor.notices
            chunks = [] if left_out or cursor.life.kind == "x" else sequencer.add_event(lost_job_gap(), now // 1_000)
            if cursor.life.kind == "s" and not left_out:
                sequencer.learn(RunState(started=cursor.life.started, ended=now, gone=True))
                chunks += sequencer.take_due()
            for chunk in chunks:
                while self._sink.offer(job.id, position.epoch, chunk) is Offer.FULL:
                    self._sink.wait_for_room(1.0)
            removed = job.life.model_copy(update={"state": "removed"})
            self._sink.job_changed(Job(job.id, job.container, removed))
            self._sink.job_ended(job.id)


def _started(metadata: ContainerMetadata, time_ns: int) -> ContainerMetadata:
    """As it is after a start event."""
    run_state = replace(metadata.run_state, running=True, started=time_ns, exit_code=None, oom=False)
    life = metadata.life.model_copy(
        update={"state": "running", "started": time_ns // 1_000_000, "ended": None, "exit_code": None, "oom": False}
    )
    return replace(metadata, run_state=run_state, life=life)


def _major(version: str) -> int:
    """Return the first number of an engine's version; 0 where it has none (`dev`, built by hand)."""
    match = _MAJOR.match(version)
    return int(match[0]) if match else 0


def _own_name(summary: Mapping[str, Any]) -> str:
    """Return a container's own name from the list, which names it by the aliases of links too (`/web/database`)."""
    names = [str(name).removeprefix("/") for name in summary.get("Names") or ()]
    return next((name for name in names if "/" not in name), "")


def find_own_container() -> str:
    """The id of the container that this process runs in; empty when it runs in none."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[4] in {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}:
            match = _CONTAINER_IN_PATH.search(fields[3])
            if match:
                return match[1]
    return ""
