"""A real engine, and readers on it that offer to a sink in memory."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.engines import Engine, machine_engine
from tests.support.sink import Log, MemorySink

from logferry_agent.edge.docker import connect
from logferry_agent.sources import Readers, SourceSettings, build_reader


@pytest.fixture(scope="session", name="machine")
def _machine() -> Iterator[Engine]:
    with machine_engine() as engine:
        yield engine


@pytest.fixture(name="prefix")
def _prefix() -> str:
    """Of the names of this test's containers: only those are read."""
    return f"lfs-{uuid.uuid4().hex[:8]}-"


@pytest.fixture(name="engine")
def _engine(machine: Engine) -> Iterator[Engine]:
    yield machine
    machine.remove_all()
    machine.made.clear()


class Watch:
    """Readers at work, and what they gave."""

    def __init__(self, settings: SourceSettings, sink: MemorySink) -> None:
        self.sink = sink
        self.readers: Readers = build_reader(settings, connect(settings.docker_host))
        self.readers.start(sink)

    def log(self, container: str) -> Log:
        """The job of a container, once it has appeared."""
        self.sink.until(lambda: container in self.sink.logs, f"{container[:12]} appears")
        return self.sink.logs[container]

    def ended(self, container: str) -> Log:
        """The job once a run of it is over and told."""
        log = self.log(container)
        self.sink.until(lambda: "exited" in log.names(), f"{container[:12]} exits")
        return log

    def stop(self) -> None:
        self.readers.stop()


Watcher = Callable[..., Watch]


@pytest.fixture(name="watch")
def _watch(prefix: str) -> Iterator[Watcher]:
    """Begin to read this test's containers."""
    watches: list[Watch] = []

    def begin(source: str, *, sink: MemorySink | None = None, first_seen: int | None = None, **more: Any) -> Watch:
        settings: dict[str, Any] = {
            "source": source,
            "first_seen": time.time_ns() if first_seen is None else first_seen,
            "start_at": "now",
            "include_names": [prefix + "*"],
        }
        made = Watch(SourceSettings(**{**settings, **more}), sink or MemorySink())
        watches.append(made)
        made.sink.until(lambda: made.readers.ready, "the first list is taken")
        return made

    yield begin
    for made in watches:
        made.stop()


@pytest.fixture(params=["file", "api"])
def source(request: pytest.FixtureRequest) -> str:
    """Both sources."""
    return str(request.param)
