"""Read a container's log from this host's engine as the agent would, for `logferry verify --engine`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from logferry_agent.core.parsing.fragments import StreamPositions, assemble, positions_after
from logferry_agent.core.parsing.log_stream import BrokenStreamError, LogStreamParser
from logferry_agent.core.parsing.timestamps import nanoseconds
from logferry_agent.edge.docker_client import (
    ContainerGoneError,
    DockerClient,
    EngineError,
    LogsUnreadableError,
    UnsupportedEngineError,
    connect,
)
from logferry_agent.edge.endpoint import EndpointError
from logferry_cli.problems import Problem
from logferry_protocol.batch import Columns

READ_BYTES = 1_048_576
"""Bytes of the engine's stream that are parsed together."""


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """A container and its engine."""

    engine: str
    """Name and version."""
    driver: str
    """The container's logging driver."""
    options: str
    """How its logs are rotated."""
    running: bool
    tty: bool
    asked: int
    """When the engine was asked, by its clock, in microseconds."""


class EngineLog:
    """The log of one container, as this host's engine still has it."""

    def __init__(self, container: str) -> None:
        """Ask the engine for the container.

        Args:
            container: the container's id.

        Raises:
            Problem: the engine cannot be reached, or does not have the container.
        """
        self._container = container
        self.errors: list[str] = []
        """What the engine said instead of lines."""
        try:
            self._client: DockerClient = connect()
            identity = self._client.identity()
            about = self._client.inspect(container)
        except EndpointError as error:
            raise Problem(f"{error}.") from None
        except ContainerGoneError:
            raise Problem(
                f"This host's engine has no container {container[:12]}.",
                "Run this on the host of the job, while the container is not removed.",
            ) from None
        except EngineError as error:
            raise _problem(error) from None
        log = (about.get("HostConfig") or {}).get("LogConfig") or {}
        options = log.get("Config") or {}
        self.about = EngineContainer(
            engine=f"{identity.name} (Docker {identity.version})",
            driver=str(log.get("Type") or identity.driver),
            options=", ".join(f"{name}={options[name]}" for name in ("max-size", "max-file") if name in options),
            running=bool((about.get("State") or {}).get("Running")),
            tty=bool((about.get("Config") or {}).get("Tty")),
            asked=_microseconds(identity.time),
        )

    def newest(self) -> int | None:
        """Return the time of the newest line, in microseconds; None if there is none."""
        times = [at for columns in self._read(tail=1) for at in columns.times]
        return max(times, default=None)

    def entries(self) -> Iterator[Columns]:
        """Yield both streams' entries as the agent makes them of this log, in the order of the engine.

        Raises:
            Problem: the log cannot be read.
        """
        return self._read()

    def _read(self, tail: int | None = None) -> Iterator[Columns]:
        before = StreamPositions()
        try:
            response = self._client.logs(self._container, follow=False, tail=tail)
            try:
                parser, more = LogStreamParser(tty=self.about.tty, chunked=response.chunked), True
                while more:
                    data = b"" if parser.done else response.read(together=READ_BYTES)
                    more = bool(data)
                    found = parser.feed(data) if more else parser.end(over=not self.about.running)
                    self.errors += found.errors
                    if len(found.fragments):
                        made = assemble(found.fragments, before)
                        before = positions_after(found.fragments, before, len(found.fragments) - 1)
                        yield Columns(made.times, made.streams, made.texts)
            finally:
                response.close()
        except (EngineError, BrokenStreamError) as error:
            raise _problem(error) from None

    def close(self) -> None:
        """Close the connections to the engine."""
        self._client.close()


def _microseconds(stamp: str) -> int:
    try:
        return nanoseconds(stamp) // 1000
    except ValueError:  # an engine that does not tell its time
        return time.time_ns() // 1000


def _problem(error: Exception) -> Problem:
    sentence = str(error)
    if isinstance(error, UnsupportedEngineError):
        return Problem(f"{sentence[:1].upper()}{sentence[1:]}.")
    if isinstance(error, LogsUnreadableError):
        return Problem(f"The engine cannot read this container's log back: {sentence}", "There is nothing to compare.")
    if isinstance(error, ContainerGoneError):
        return Problem("The container was removed while its log was read.")
    advice = "Check that Docker runs, that you may use its socket, and DOCKER_HOST."
    return Problem(f"{sentence[:1].upper()}{sentence[1:]}.", advice)
