"""Read containers through the engine's API: one thread for each, because a read blocks until lines come."""

from __future__ import annotations

from threading import Event, Thread
from typing import Final

import structlog

from ..core.batching.ports import Sink
from .api_source import ApiSource
from .container_reader import FAILED, ContainerReader, Step

log = structlog.get_logger()

_FAILED_S: Final = 5.0
"""Seconds to wait after an internal error."""


class ApiLoop:
    """A thread that reads one container through the API."""

    def __init__(self, reader: ContainerReader, sink: Sink) -> None:
        self._reader = reader
        self._sink = sink
        self._news = Event()
        self._stopping = False
        self.done = False
        reader.on_news = self._news.set
        self._thread = Thread(target=self._run, name=f"logferry-api-{reader.id[:12]}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stopping = True
        self._reader.close()
        self._news.set()

    def interrupt(self, source: object) -> None:
        """Close a source that waits for lines, because a new one replaces it (see `ContainerReader.renew`)."""
        if isinstance(source, ApiSource):
            source.close()
        self._news.set()

    def cut(self) -> None:
        """Cut the connection, as a proxy does after a long silence. The source reconnects."""
        source = self._reader.source
        if isinstance(source, ApiSource):
            source.cut()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        failed = False
        while not self._stopping:
            self._news.clear()
            try:
                step = self._reader.step(self._sink, 1 << 20)
            except Exception:
                # An internal error must not end the job. The container is read again from its last position.
                log.exception("reading_failed", container=self._reader.id)
                self._sink.job_problem(self._reader.id, FAILED)
                self._reader.begin_again(self._sink)
                failed = True
                self._news.wait(_FAILED_S)
                continue
            if failed and step is not Step.FULL:
                failed = False
                self._sink.job_problem(self._reader.id, None)
            if step is Step.DONE:
                self.done = True
                return
            if step is Step.FULL:
                self._sink.wait_for_room(0.5)
            elif step is Step.IDLE:
                self._news.wait(5)
