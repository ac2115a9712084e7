"""Provide real engines of two generations, and readers on them that feed a sink in memory.

Every test here runs on the machine's engine; `make chaos` also runs it on 26.1, where this machine can have one.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engines import Engine, daemon, machine_engine
from tests.support.memory_sink import Log, MemorySink
from tests.support.newer_engine import unavailable_reason, unpacked

from logferry_agent.app import SWITCH_S
from logferry_agent.edge.docker_client import connect
from logferry_agent.edge.preencode_pool import PreencodePool
from logferry_agent.edge.readers import EngineReader, ReaderSettings, build_reader


@pytest.fixture(scope="session", autouse=True)
def _threads_take_turns_as_in_the_agent() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(autouse=True)
def _no_full_garbage_collection_as_in_the_agent() -> Iterator[None]:
    """Freeze the objects of a long test session.

    Collecting them halts every thread for up to a second, longer than a short container lives.
    """
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", params=["machine", pytest.param("26.1", marks=pytest.mark.slow)], name="generation")
def _generation(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Provide an engine of each generation for all tests."""
    if request.param == "machine":
        with machine_engine() as engine:
            yield engine
        return
    reason = unavailable_reason()
    if reason is not None:
        pytest.skip(reason)
    with daemon(Path(tempfile.mkdtemp(prefix="lfd-", dir="/tmp")), unpacked()) as newer:
        yield newer.engine()


@pytest.fixture(name="prefix")
def _prefix() -> str:
    """Provide the name prefix of this test's containers; only those are read."""
    return f"lfs-{uuid.uuid4().hex[:8]}-"


@pytest.fixture(name="engine")
def _engine(generation: Engine) -> Iterator[Engine]:
    yield generation
    generation.remove_all()
    generation.made.clear()


class RunningReaders:
    """Running readers and what they produced."""

    def __init__(self, settings: ReaderSettings, sink: MemorySink, since: int | None) -> None:
        self.sink = sink
        self.readers: EngineReader = build_reader(settings, connect(settings.docker_host), pool=PreencodePool())
        if since is not None:
            self.readers._since = since  # `start_at` gives a span before now
        self.readers.start(sink)

    def log(self, container: str) -> Log:
        """Return the job of a container once it has appeared."""
        self.sink.until(lambda: container in self.sink.logs, f"{container[:12]} appears")
        return self.sink.logs[container]

    def ended(self, container: str) -> Log:
        """Return the job once a run of it has ended in both its log and its lifecycle; either may come first."""
        log = self.log(container)
        self.sink.until(
            lambda: "exited" in log.names() and any(job.life.over for job in log.jobs), f"{container[:12]} exits"
        )
        return log

    def stop(self) -> None:
        self.readers.stop()


Watcher = Callable[..., RunningReaders]


@pytest.fixture(name="watch")
def _watch(prefix: str, request: pytest.FixtureRequest) -> Iterator[Watcher]:
    """Start readers for this test's containers, on its engine unless it names another."""
    watches: list[RunningReaders] = []
    host = request.getfixturevalue("engine").host if "engine" in request.fixturenames else None

    def begin(
        source: str,
        *,
        sink: MemorySink | None = None,
        first_seen: int | None = None,
        since: int | None = None,
        **more: Any,
    ) -> RunningReaders:
        settings: dict[str, Any] = {
            "docker_host": host,
            "source": source,
            "first_seen": time.time_ns() if first_seen is None else first_seen,
            "start_at": "now",
            "include_names": [prefix + "*"],
        }
        made = RunningReaders(ReaderSettings(**{**settings, **more}), sink or MemorySink(), since)
        watches.append(made)
        made.sink.until(lambda: made.readers.ready, "the first list is taken")
        return made

    yield begin
    for made in watches:
        made.stop()


@pytest.fixture(params=["file", "api"])
def source(request: pytest.FixtureRequest) -> str:
    """Provide both sources."""
    return str(request.param)
