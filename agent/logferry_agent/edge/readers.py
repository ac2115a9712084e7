"""Read every selected container of one engine: discovery, sources and their threads, wired together.

core/container/container_tracker.py and core/container/source_choice.py make the decisions.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

import structlog
from pydantic import ConfigDict, Field

from ..core.batching.entry_sequencer import EntrySequencer
from ..core.batching.ports import Job, Offer, Position, Reader, Sink
from ..core.batching.processing import ProcessingOptions
from ..core.container import label_settings
from ..core.container.container_tracker import ContainerTracker, Observation
from ..core.container.ecs_task import EcsTask
from ..core.container.filters import Selection, parse_start_at
from ..core.container.lost_job import last_chunks
from ..core.container.metadata import ContainerMetadata
from ..core.container.source_choice import SourceChoice, api_history_bytes, major_version, source_name
from ..core.container.source_settings import SourceSettings
from .api_loop import ApiLoop
from .api_source import ApiSource
from .container_reader import ContainerReader, TrackedSource
from .discovery import Discovery
from .docker_client import DockerClient, Engine, is_container
from .ecs_metadata import TaskLookup
from .file_loop import FileLoop
from .file_source import FileSource
from .preencode_pool import PreencodePool
from .unreadable_source import ExcludedSource, UnreadableSource

log = structlog.get_logger()

_STOP_S: Final = 2.5
_REPLAYS_BEFORE_MAJOR: Final = 23
"""Engines before this major version repeat what they sent after a log file was rotated."""
_CONTAINER_IN_PATH: Final = re.compile(r"/containers/([0-9a-f]{64})/")


class ReaderSettings(SourceSettings):
    """What reading needs: the agent's settings of it, and what the agent learns when it starts."""

    model_config = ConfigDict(extra="forbid")

    first_seen: int = 0
    """When the agent first saw this engine, in nanoseconds since 1970."""
    processing: ProcessingOptions = Field(default_factory=ProcessingOptions)
    allow_labels: tuple[str, ...] = label_settings.ALL
    metadata_uri: str | None = None
    """The ECS task metadata endpoint. ECS names it in the environment of every container."""

    @classmethod
    def of(cls, settings: SourceSettings, **more: Any) -> ReaderSettings:
        """Return the agent's settings of reading, with what only this class has."""
        return cls(**{name: getattr(settings, name) for name in SourceSettings.model_fields}, **more)


def build_reader(
    settings: ReaderSettings, connection: DockerClient, engine: Engine | None = None, pool: PreencodePool | None = None
) -> EngineReader:
    """Return a reader of every container that the settings select on the engine behind the connection.

    Args:
        settings: which containers to read, and how.
        connection: the connection to the engine.
        engine: the engine's identity, when the caller has just asked for it.
        pool: encodes backlogs of log files beside this process; only for logs whose lines are processed one by one.

    Raises:
        EngineUnavailableError: the engine cannot be reached now.
    """
    return EngineReader(settings, connection, engine or connection.identity(), pool)


class EngineReader(Reader):
    """Reads every selected container of one engine.

    `ContainerTracker` decides; this class acts. It holds the threads, the locks, the sources and the clock.
    """

    def __init__(
        self, settings: ReaderSettings, connection: DockerClient, engine: Engine, pool: PreencodePool | None = None
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._engine = engine
        self._pool = pool
        self._since = parse_start_at(settings.start_at, time.time_ns())
        self.tracker = ContainerTracker(
            Selection.of(settings, find_own_container()),
            host=settings.host or engine.name,
            processing=settings.processing,
            allow_labels=settings.allow_labels,
        )
        self._root = Path(settings.docker_root or engine.root)
        self._choice = SourceChoice(
            settings.source, files_readable=False, engine_root=engine.root, mounted_root=str(self._root)
        )
        self._lock = Lock()
        self._observing = Lock()
        """Held while an observation is made and applied, so that two threads record one container's life in one
        order."""
        self._readings: dict[str, ContainerReader] = {}
        self._api: dict[str, ApiLoop] = {}
        self.ready = False
        """Whether the engine's containers were listed once. From then on no creation is missed."""
        self._lookup = TaskLookup(settings.metadata_uri, self._add_task) if settings.metadata_uri else None
        self._sink: Sink
        self._files: FileLoop | None = None
        self._discovery = Discovery(connection, self, list_interval_s=settings.list_interval, engine_time=engine.time)

    # --- called by the pipeline ---

    def start(self, sink: Sink) -> None:
        """Start to discover and read."""
        self._sink = sink
        self.tracker.jobs_before = frozenset(job.id for job in sink.known_jobs())
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
                self._choice = replace(self._choice, files_readable=True)
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
        """Stop reading."""
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

    @property
    def task(self) -> EcsTask | None:
        """Return the ECS task that the agent runs in, once the metadata endpoint answered."""
        return self.tracker.task

    def api_loops(self) -> list[ApiLoop]:
        """Return the loops that read logs through the engine's API now."""
        return [loop for loop in list(self._api.values()) if not loop.done]

    # --- called by discovery ---

    def note_event(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        """Open the log file of a new container before anything else is known of it."""
        if action == "create":
            self.tracker.created(container)
        reading = self._readings.get(container)
        excluded = self.tracker.is_excluded(container, reading.metadata if reading is not None else None)
        if action in {"create", "start"} and self._files is not None and not excluded:
            self._files.expect(container)
        if action == "start" and reading is not None:
            with self._observing:
                self._apply(reading, self.tracker.start_seen(reading.metadata, time_ns))

    def should_inspect(self, summary: Mapping[str, Any], *, again: bool) -> bool:
        """Return whether to inspect a listed container."""
        container = str(summary["Id"])
        reading = self._readings.get(container)
        known = reading.metadata if reading is not None else None
        return self.tracker.needs_inspection(summary, known, again=again, read_from_api=container in self._api)

    def handle_inspection(self, found: Mapping[str, Any], *, action: str) -> None:
        """Start to read an inspected container, or update the reading of it."""
        metadata = self.tracker.describe(found)
        reading = self._readings.get(metadata.id)
        if reading is None:
            with self._observing:
                observation = self.tracker.inspected(metadata, None, action=action, now=time.monotonic())
            self._inspect_later(metadata.id, observation)
            self._appear(observation.metadata or metadata)
            return
        with self._observing:
            observation = self.tracker.inspected(metadata, reading.metadata, action=action, now=time.monotonic())
            before = self._apply(reading, observation)
        after = reading.metadata
        if bool(before.left_out) != bool(after.left_out):
            self._switch(reading)
        if action == "examine":
            reading.read_although_stopped()
        if replace(before, run_state=after.run_state) != after:
            self._sink.job_changed(reading.job)

    def handle_event(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        """Record an end, or a container that is gone already: only the event shows these."""
        reading = self._readings.get(container)
        if reading is None:
            metadata = self.tracker.describe_from_event(action, container, attributes, time_ns)
            if metadata is not None:
                self._appear(metadata)
            return
        with self._observing:
            observation = self.tracker.handle_event(action, reading.metadata, attributes, time_ns, now=time.monotonic())
            self._apply(reading, observation)
        if observation.changes:
            self._sink.job_changed(reading.job)

    def handle_list(self, containers: set[str]) -> None:
        """End the containers that the engine does not list any more."""
        for container, reading in list(self._readings.items()):
            if container not in containers and not reading.gone:
                with self._observing:
                    self._apply(reading, self.tracker.removed(reading.metadata))
                self._sink.job_changed(reading.job)
        self.tracker.keep_listed(containers)
        self._forget_done()
        if not self.ready:
            self.ready = True
            self._end_lost(
                [job for job in self._sink.known_jobs() if job.id not in containers and job.id not in self._readings]
            )

    def engine_problem(self, problem: str | None) -> None:
        """Show in every job, and in the agent's log, that the engine cannot be reached."""
        if problem is not None:
            log.warning("engine_unavailable", problem=problem)
        for container in list(self._readings):
            self._sink.job_problem(container, problem)

    def _add_task(self, task: EcsTask) -> None:
        """Use the agent's ECS task for new containers and for those that are being read."""
        self.tracker.task = task
        log.info("ecs_task", task=task.arn, cluster=task.cluster, definition=f"{task.family}:{task.revision}")
        for reading in list(self._readings.values()):
            reading.metadata = self.tracker.with_task(reading.metadata, task)
            self._sink.job_changed(reading.job)

    # --- readings ---

    def _apply(self, reading: ContainerReader, observation: Observation) -> ContainerMetadata:
        """Apply an observation, and return the metadata after its ends and before its new metadata."""
        for run_state in observation.ended:
            reading.learn_end(run_state)
        before = reading.metadata
        if observation.metadata is not None:
            reading.learn(observation.metadata)
        self._inspect_later(reading.id, observation)
        return before

    def _inspect_later(self, container: str, observation: Observation) -> None:
        if observation.inspect_after_s is not None:
            self._discovery.examine(container, after_s=observation.inspect_after_s)

    def _appear(self, metadata: ContainerMetadata) -> None:
        container = metadata.id
        if not is_container(container):
            log.warning("container_without_id", id=container[:80])
            return
        admission = self.tracker.admit(metadata)
        if admission.metadata is None:
            log.info("container_not_read", container=container, name=metadata.name, because=admission.reason)
            if self._files is not None:
                self._files.forget(container)
            return
        if admission.reason:
            log.info("container_read_no_more", container=container, because=admission.reason)
        metadata = admission.metadata
        reading = ContainerReader(metadata, self._make_source, fresh=admission.fresh)
        reading.on_doubt = lambda: self._discovery.examine(container)
        with self._lock:
            self._readings[container] = reading
        reading.expected_source = source_name(self._choice.choose(metadata))
        position = self._sink.job_appeared(reading.job)
        reading.move(position)
        if self._files is not None and self._choice.in_file(metadata):
            self._files.add(reading)
        else:
            loop = ApiLoop(reading, self._sink)
            self._api[container] = loop
            loop.start()
        self._sink.job_changed(reading.job)

    def _switch(self, reading: ContainerReader) -> None:
        """Stop reading a container, or start again, as its metadata says now."""
        why = reading.metadata.left_out
        log.info("container_read_no_more" if why else "container_read_again", container=reading.id, because=why or None)
        source = reading.source
        reading.renew()
        if reading.id in self._api:
            self._api[reading.id].interrupt(source)

    def _make_source(self, metadata: ContainerMetadata, sequencer: EntrySequencer) -> TrackedSource:
        kind = self._choice.choose(metadata)
        if kind == "left_out":
            if self._files is not None:
                self._files.forget(metadata.id)
            return ExcludedSource(sequencer, metadata.left_out)
        if kind == "unreadable":
            driver = metadata.container.driver
            return UnreadableSource(
                sequencer,
                f"it is in no log file that the agent can read (driver {driver}), and `source` is set to `file`",
            )
        born = metadata.created >= self._settings.first_seen
        since = 0 if born else self._since
        path = self._choice.log_path(metadata)
        if kind == "file" and self._files is not None and path is not None:
            processing = self.tracker.processing_of(metadata)
            source: FileSource = self._files.source_for(
                metadata.id,
                Path(path),
                sequencer,
                since=since,
                max_size=metadata.max_size,
                redaction=processing.redaction if processing.by_line else None,
            )
            return source
        api = ApiSource(
            self._connection,
            metadata.id,
            sequencer,
            tty=metadata.container.tty,
            since=since,
            max_size=metadata.max_size,
            replays=major_version(self._engine.version) < _REPLAYS_BEFORE_MAJOR,
            born_below=api_history_bytes(metadata) if born else 0,
        )
        api.on_problem = lambda problem: self._sink.job_problem(metadata.id, problem)
        return api

    def _forget_done(self) -> None:
        for container, loop in list(self._api.items()):
            if loop.done:
                del self._api[container]
        for container, reading in list(self._readings.items()):
            if reading.done:
                with self._lock:
                    del self._readings[container]
                self.tracker.forget(container)

    def _end_lost(self, jobs: list[Job]) -> None:
        """End the jobs of containers that were removed while no agent watched."""
        for job in jobs:
            position = self._sink.job_appeared(job)
            self._sink.position_lost(job.id, position.epoch)
            for chunk in last_chunks(position.cursor, time.time_ns()):
                while self._sink.offer(job.id, position.epoch, chunk) is Offer.FULL:
                    self._sink.wait_for_room(1.0)
            removed = job.life.model_copy(update={"state": "removed"})
            self._sink.job_changed(Job(job.id, job.container, removed))
            self._sink.job_ended(job.id)


def find_own_container() -> str:
    """Return the id of the container that this process runs in; empty when it runs in none."""
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
