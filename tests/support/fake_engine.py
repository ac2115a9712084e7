"""Provide a Docker Engine in memory with the interface of `edge/docker_client.py`: list, inspections, events, logs."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Condition
from types import SimpleNamespace
from typing import Any

from tests.support.docker_log import DockerLogWriter, LogFragment, frame

from logferry_agent.edge.docker_client import ContainerGoneError, EngineUnavailableError

STARTED = "2025-11-24T15:59:59.000000000Z"


class FakeEngine:
    """An engine that tests change while it runs. Every method may be called from any thread."""

    local = False

    def __init__(self) -> None:
        self.changed = Condition()
        self.found: dict[str, dict[str, Any]] = {}
        self.listed: dict[str, dict[str, Any]] = {}
        """Fields in which the list differs from `inspect`."""
        self.entries: dict[str, list[LogFragment]] = {}
        self.copier = DockerLogWriter()
        self.inspected: list[str] = []
        self.refusal: EngineUnavailableError | None = None
        """The error that every request raises."""
        self.cuts = 0
        self.events_sent: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.clock = 1_764_000_100_000_000_000

    # --- changes ---

    def run(self, container: str, name: str, *, image: str = "shop/web:3", image_id: str = "", **more: Any) -> None:
        """Create and start a container without an event.

        Args:
            container: its id.
            name: its name, without the slash.
            image: the reference that it is created with.
            image_id: the image's id.
            more: `labels`, `options` (of its logging driver) and `listed`, fields that replace those of its list entry.
        """
        self.found[container] = {
            "Id": container,
            "Name": f"/{name}",
            "Image": image_id,
            "Created": "2025-11-24T15:59:58.000000000Z",
            "Config": {"Image": image, "Labels": more.get("labels", {})},
            "HostConfig": {"LogConfig": {"Type": "json-file", "Config": more.get("options", {})}},
            "State": {"Status": "running", "Running": True, "StartedAt": STARTED, "FinishedAt": "0001-01-01T00:00:00Z"},
        }
        self.listed[container] = more.get("listed", {})
        self.entries[container] = []

    def write(self, container: str, *lines: str) -> None:
        """Write lines to a container's standard output."""
        with self.changed:
            for line in lines:
                self.entries[container] += self.copier.write("o", line.encode() + b"\n")
            self.changed.notify_all()

    def exit(self, container: str, code: int) -> None:
        """End a container's run without an event."""
        with self.changed:
            self.found[container]["State"] |= {
                "Status": "exited",
                "Running": False,
                "ExitCode": code,
                "FinishedAt": "2025-11-24T16:00:30.000000000Z",
            }
            self.changed.notify_all()

    def remove(self, container: str) -> None:
        """Remove a container without an event."""
        with self.changed:
            del self.found[container]
            self.changed.notify_all()

    def send(self, action: str, container: str, **attributes: str) -> None:
        """Send an event to all listeners."""
        self.clock += 1_000_000_000
        actor = {"ID": container, "Attributes": attributes}
        self.events_sent.put({"Type": "container", "Action": action, "Actor": actor, "timeNano": self.clock})

    def cut(self) -> None:
        """Break every connection."""
        self.events_sent.put(None)
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    # --- answers ---

    def _meet(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def identity(self) -> SimpleNamespace:
        self._meet()
        return SimpleNamespace(id="e", name="h", version="20.10.24", root="/nowhere", driver="json-file", time=STARTED)

    def events(self, since: str) -> tuple[SimpleNamespace, Iterator[dict[str, Any]]]:
        self._meet()
        return SimpleNamespace(close=lambda: self.events_sent.put(None)), iter(self.events_sent.get, None)

    def containers(self) -> list[dict[str, Any]]:
        self._meet()
        return [
            {
                "Id": container,
                "Names": [found["Name"]],
                "Image": found["Config"]["Image"],
                "Labels": found["Config"]["Labels"],
                "State": found["State"]["Status"],
                **self.listed[container],
            }
            for container, found in list(self.found.items())
        ]

    def inspect(self, container: str) -> dict[str, Any]:
        self._meet()
        self.inspected.append(container)
        if container not in self.found:
            raise ContainerGoneError("gone")
        return self.found[container]

    def logs(self, container: str, *, follow: bool, tail: int | None = None, since: int = 0) -> _Response:
        self._meet()
        if container not in self.found:
            raise ContainerGoneError("gone")
        kept = len(self.entries[container])
        return _Response(self, container, max(0, kept - tail) if tail is not None else 0, follow=follow)

    def close(self) -> None: ...


class _Response:
    chunked = False

    def __init__(self, engine: FakeEngine, container: str, start: int, *, follow: bool) -> None:
        self._engine, self._container, self._at, self._follow = engine, container, start, follow
        self._closed = False
        self._cuts = engine.cuts

    def read(self, *, together: int = 0) -> bytes:
        engine = self._engine
        with engine.changed:
            engine.changed.wait_for(lambda: self._over or len(engine.entries[self._container]) > self._at)
            if self._cuts != engine.cuts:
                raise EngineUnavailableError("cut")
            given = engine.entries[self._container][self._at :]
        self._at += len(given)
        return b"".join(map(frame, given))

    @property
    def _over(self) -> bool:
        found = self._engine.found.get(self._container)
        cut = self._cuts != self._engine.cuts
        return cut or self._closed or not self._follow or found is None or not found["State"]["Running"]

    def close(self) -> None:
        with self._engine.changed:
            self._closed = True
            self._engine.changed.notify_all()
