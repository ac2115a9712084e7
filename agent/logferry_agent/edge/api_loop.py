"""The api source's threads: one for each container, as a read waits until lines come."""

from __future__ import annotations

from threading import Event, Thread
from typing import Final

import structlog

from ..core.batching.ports import Sink
from .api_source import ApiSource
from .container_reader import FAILED, ContainerReader, Step

log = structlog.get_logger()

_FAILED_S: Final = 5.0
"""After an error of ours."""


class ApiLoop:
    """A thread that reads one container through the API."""

    def __init__(self, reading: ContainerReader, sink: Sink) -> None:
        self._reading = reading
        self._sink = sink
        self._news = Event()
        self._stopping = False
        self.done = False
        reading.on_news = self._news.set
        self._thread = Thread(target=self._run, name=f"logferry-api-{reading.id[:12]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping = True
        self._reading.close()
        self._news.set()

    def interrupt(self, source: object) -> None:
        """End a source that waits for lines, which a new one takes the place of (see `ContainerReader.renew`)."""
        if isinstance(source, ApiSource):
            source.close()
        self._news.set()

    def cut(self) -> None:
        """Cut the connection, as a proxy does to one that was quiet for long; it is made again."""
        source = self._reading.source
        if isinstance(source, ApiSource):
            source.cut()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        failed = False
        while not self._stopping:
            self._news.clear()
            try:
                step = self._reading.step(self._sink, 1 << 20)
            except Exception:
                # An error of ours must not end the job: it is read again from where it was.
                log.exception("reading_failed", container=self._reading.id)
                self._sink.job_problem(self._reading.id, FAILED)
                self._reading.begin_again(self._sink)
                failed = True
                self._news.wait(_FAILED_S)
                continue
            if failed and step is not Step.FULL:
                failed = False
                self._sink.job_problem(self._reading.id, None)
            if step is Step.DONE:
                self.done = True
                return
            if step is Step.FULL:
                self._sink.wait_for_room(0.5)
            elif step is Step.IDLE:
                self._news.wait(5)
