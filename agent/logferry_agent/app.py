"""Build the agent from its parts, run it, and restart it after an error.

The agent starts in this order: spool (a damaged one is set aside), pipeline, health server, socket, reader. On SIGTERM
it stops within 10 s, in this order: reader, pipeline (open batches are shipped or saved), socket, spool.
"""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
import time
from typing import Any

import structlog

from logferry_protocol import __version__
from logferry_protocol.limits import MAX_TIME_US

from .edge.cloud_socket import CloudSocket
from .edge.docker_client import DockerClient, Engine, EngineUnavailableError, UnsupportedEngineError
from .edge.health import FolderTakenError, HealthServer, as_json
from .edge.metrics import Metrics
from .edge.preencode_pool import PreencodePool
from .edge.readers import ReaderSettings, build_reader
from .edge.spool import Spool, SpoolCorruptError, SpoolError
from .pipeline import Pipeline, PipelineSettings
from .settings import Settings

log = structlog.get_logger(__name__)

STOP_S = 9.0
"""How long stopping may take, in seconds: Docker's grace period of 10 s after SIGTERM, less 1 s for the interpreter."""

CLOSE_S = 2.0
"""How much of `STOP_S` is reserved for closing the connection, in seconds."""

SWITCH_S = 0.0005
"""How often threads take turns, in seconds. Readers, pipeline and socket share the interpreter, and at Python's default
of 5 ms an answer would wait longest for its turn."""

STALE_S = 300.0
"""The agent reports unhealthy after this many seconds without a connection."""

FAILURES_S, MOST_FAILURES = 600.0, 3
"""The process restarts a pipeline that stopped with an error at most this many times in this many seconds. Then it
exits, so that its supervisor learns of the error."""


class StartError(Exception):
    """The agent cannot run with its settings. The message says why."""


class Agent:
    """One running agent: its spool, pipeline, socket, reader and health server."""

    def __init__(
        self, settings: Settings, connection: DockerClient, engine: Engine, pool: PreencodePool | None = None
    ) -> None:
        """Open the spool and build the parts.

        Args:
            settings: the agent's settings.
            connection: the client of the engine's API.
            engine: the engine, which the spool belongs to.
            pool: reads and encodes backlogs in a second process; None to do it here.

        Raises:
            SpoolError: the spool cannot be used.
            StartError: a port or folder is taken.
        """
        self.settings, self.engine = settings, engine
        self.metrics = Metrics()
        self.spool = Spool(settings.spool_dir, engine.id, sync=settings.spool_sync)
        if self.spool.set_aside is not None:
            log.error(
                "the spool is damaged and was set aside: every job continues after the cloud's tip",
                kept=str(self.spool.set_aside),
            )
            self.metrics.resynchronised("spool_damaged")
        pipeline_settings = PipelineSettings.of(
            settings, processing=settings.processing, allow_labels=tuple(settings.allow_labels)
        )
        self.pipeline = Pipeline(self.spool, engine.id, pipeline_settings, self.metrics)
        self.socket = CloudSocket(
            settings.agents_url,
            settings.credential(),
            self.pipeline.post,
            user_agent=f"logferry-agent/{__version__}",
            tls=tls_of(settings),
        )
        self.reader = build_reader(
            ReaderSettings.of(
                settings,
                first_seen=self.spool.made,
                processing=settings.processing,
                allow_labels=tuple(settings.allow_labels),
                metadata_uri=os.environ.get("ECS_CONTAINER_METADATA_URI_V4"),
            ),
            connection,
            engine,
            pool,
        )
        pages = {
            "/metrics": self._metrics_page,
            "/healthz": self._health_page,
            "/livez": self._live_page,
            "/readyz": self._ready_page,
            "/status": self._status_page,
        }
        try:
            self.health = HealthServer(settings.spool_dir, settings.metrics_address, pages)
        except FolderTakenError as error:
            raise StartError(str(error)) from error
        except OSError as error:
            raise StartError(
                f"metrics_address: {settings.metrics_address} cannot be served: {error.strerror}"
            ) from error
        self.started = time.time()

    def start(self) -> None:
        """Start every part's thread."""
        self.pipeline.start(self.socket, self.reader)
        self.health.start()
        self.socket.start()
        self.reader.start(self.pipeline.intake)
        log.info("the agent started", version=__version__, engine=self.engine.name, engine_version=self.engine.version)

    def stop(self) -> None:
        """Stop every part within `STOP_S`. Shipping gets the time that readers and the connection do not need."""
        until = time.monotonic() + STOP_S
        self.reader.stop()
        flush_s = until - CLOSE_S - time.monotonic() if self.pipeline.session.online else 0.5
        done = self.pipeline.stop(max(0.0, flush_s))
        self.socket.stop(max(0.5, until - time.monotonic()))
        self.health.stop()
        self.spool.close()
        log.info("the agent stopped", shipped="everything" if done else "the rest is in the spool")

    # --- pages --------------------------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """Return for the operator what keeps the agent from working; an empty list when nothing does."""
        connection = self.socket.status
        found = []
        if not self.pipeline.alive:
            found.append(f"the pipeline stopped: {self.pipeline.failure!r}")
        if connection.refused:
            found.append(connection.error or "the cloud refuses the agent")
        elif not connection.connected and time.time() - max(connection.since, self.started) > STALE_S:
            found.append(
                f"no connection for {time.time() - max(connection.since, self.started):.0f} s: {connection.error}"
            )
        if self.pipeline.stuck:
            found.append("the spool's disk cannot be written")
        return found

    def _health_page(self) -> tuple[int, str, bytes]:
        found = self.problems()
        # A parked job is reported, but is no reason to restart the agent: the other jobs continue.
        lines = (found or ["ok"]) + [f"parked: {job}" for job in self.pipeline.parked()]
        return (503 if found else 200), "text/plain", "\n".join(lines).encode("utf-8", "backslashreplace") + b"\n"

    def _live_page(self) -> tuple[int, str, bytes]:
        """Return 503 only where a restart of the process helps."""
        if self.pipeline.alive:
            return 200, "text/plain", b"alive\n"
        return (
            503,
            "text/plain",
            f"the pipeline stopped: {self.pipeline.failure!r}\n".encode("utf-8", "backslashreplace"),
        )

    def _ready_page(self) -> tuple[int, str, bytes]:
        ready = self.socket.status.connected and not self.problems()
        return (200 if ready else 503), "text/plain", b"ready\n" if ready else b"not connected\n"

    def _metrics_page(self) -> tuple[int, str, bytes]:
        metrics, session = self.metrics, self.pipeline.session
        metrics.connected.set(self.socket.status.connected)
        metrics.connections(self.socket.connects, self.socket.failures)
        metrics.in_flight.set(session.in_flight)
        oldest = MAX_TIME_US
        jobs = self.pipeline.lag()
        metrics.jobs.set(len(jobs))
        for job_id, name, waiting_since in jobs:
            metrics.lagging(job_id, name, waiting_since)
            oldest = min(oldest, waiting_since or oldest)
        metrics.spool_age.set(0.0 if oldest == MAX_TIME_US else max(0.0, time.time() - oldest / 1e6))
        return 200, "text/plain; version=0.0.4; charset=utf-8", metrics.render()

    def _status_page(self) -> tuple[int, str, bytes]:
        connection, pipeline = self.socket.status, self.pipeline
        document: dict[str, Any] = {
            "version": __version__,
            "engine": {"id": self.engine.id, "name": self.engine.name, "version": self.engine.version},
            "task": str(self.reader.task) if self.reader.task is not None else None,
            "cloud": self.settings.agents_url,
            "connected": connection.connected,
            "connected_since": connection.since if connection.connected else None,
            "error": connection.error,
            "spool": {
                "bytes": self.spool.bytes,
                "limit": self.settings.spool_limit,
                "full": pipeline.full,
                "stuck": pipeline.stuck,
                "path": str(self.spool.path),
            },
            "troubles": self.problems(),
            "jobs": pipeline.report(),
        }
        return as_json(200, document)


def run(settings: Settings, connection: DockerClient, pool: PreencodePool | None = None) -> int:
    """Run the agent until SIGTERM or SIGINT.

    Args:
        settings: the agent's settings.
        connection: the client of the engine's API.
        pool: reads and encodes backlogs in a second process; None to do it here.

    Returns:
        The process's exit status.
    """
    sys.setswitchinterval(SWITCH_S)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    try:
        return _run(settings, connection, pool, ending)
    except UnsupportedEngineError as error:
        log.error(str(error))  # noqa: TRY400 - the message says it all
        return 1


def _run(settings: Settings, connection: DockerClient, pool: PreencodePool | None, ending: threading.Event) -> int:
    failures: list[float] = []
    engine = _wait_for_engine(connection, ending)
    while engine is not None and not ending.is_set():
        try:
            agent = Agent(settings, connection, engine, pool)
        except (SpoolError, StartError) as error:
            log.error(str(error))  # noqa: TRY400 - the message says it all
            return 1
        agent.start()
        while not ending.wait(1.0) and agent.pipeline.alive:
            pass
        failure = agent.pipeline.failure
        agent.stop()
        if failure is None:
            continue
        if isinstance(failure, SpoolCorruptError):
            kept = agent.spool.damage()
            log.error(
                "the spool is damaged and was set aside: every job continues after the cloud's tip", kept=str(kept)
            )
            engine = _wait_for_engine(connection, ending)
            continue
        failures = [moment for moment in failures if time.monotonic() - moment < FAILURES_S]
        failures.append(time.monotonic())
        if len(failures) > MOST_FAILURES:
            return 70
        log.warning("the agent restarts from its spool after an error", failures=len(failures))
        engine = _wait_for_engine(connection, ending)
    return 0


def _wait_for_engine(connection: DockerClient, ending: threading.Event) -> Engine | None:
    """Return the engine as soon as it answers; None when the agent has to stop before that.

    Args:
        connection: the client of the engine's API.
        ending: set when the agent has to stop.

    Raises:
        UnsupportedEngineError: the agent cannot read this engine.
    """
    logged = False
    while not ending.is_set():
        try:
            return connection.identity()
        except UnsupportedEngineError:
            raise
        except EngineUnavailableError as error:
            if not logged:
                advice = {"advice": connection.advice} if connection.advice else {}
                log.warning("the engine does not answer: the agent waits for it", error=str(error), **advice)
                logged = True
            ending.wait(1.0)
    return None


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Return what to trust besides the system's certificates; None to trust only these."""
    if settings.ca_file is None:
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(settings.ca_file)
    return context
