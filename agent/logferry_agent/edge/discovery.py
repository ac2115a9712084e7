"""Find containers by the engine's events and its list, merged by id.

The list is read again after every lost connection and at intervals. There are two threads. One only reads events,
because the engine drops events that are not read at once. The other asks the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from random import random
from threading import Event, Thread
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import structlog

from logferry_protocol.backoff import Backoff, Retries

from ..core.parsing.engine_values import instant, mapping, strings, text
from ..core.parsing.timestamps import nanoseconds
from .docker_client import ContainerGoneError, DockerClient, EngineError, EngineUnavailableError, LogResponse

log = structlog.get_logger()

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RETRY: Final = Backoff(first_s=0.1, longest_s=5.0)
"""Waits between attempts to reach the engine."""
_OVERLAP_NS: Final = 2_000_000_000
"""How long before the list events are requested from; the engine keeps the last 256. Known ones are ignored."""
_AHEAD_NS: Final = 24 * 3_600_000_000_000
"""How far an engine's clock may be ahead of ours."""
_EXAMINED: Final = frozenset({"create", "start", "restart", "pause", "unpause", "rename", "update"})


class Observer(Protocol):
    """Receives what discovery finds, on discovery's threads."""

    def note_event(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        """Take an event at once, on the thread that reads events. Must return fast."""
        ...

    def handle_inspection(self, found: Mapping[str, Any], *, action: str) -> None:
        """Take the engine's description of a container.

        Args:
            found: The answer to `inspect`.
            action: The action of the event that led to it, or `list`.
        """
        ...

    def handle_event(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        """Take an event that `inspect` cannot show, in order with the calls of `handle_inspection`."""
        ...

    def should_inspect(self, summary: Mapping[str, Any], *, again: bool) -> bool:
        """Return whether to examine a listed container.

        Args:
            summary: The list's entry.
            again: Whether no event was missed since the last list.
        """
        ...

    def handle_list(self, containers: set[str]) -> None:
        """Take the ids of all containers. Those that `should_inspect` wanted were inspected before."""
        ...

    def engine_problem(self, problem: str | None) -> None:
        """Record that the engine cannot be reached and why, or (None) that it can be again."""
        ...


class Discovery:
    """Watches the containers of one engine."""

    def __init__(
        self, connection: DockerClient, observer: Observer, *, list_interval_s: float, engine_time: str = ""
    ) -> None:
        """Watch an engine.

        Args:
            connection: The client of the engine.
            observer: Receives what is found.
            list_interval_s: Seconds between two lists.
            engine_time: The engine's time a moment ago, where it was asked; empty otherwise.
        """
        self._connection = connection
        self._observer = observer
        self._list_interval_s = list_interval_s
        self._engine_time = engine_time
        self._queue: SimpleQueue[tuple[str, str, Mapping[str, str], int]] = SimpleQueue()
        self._stopping = Event()
        self._stream: LogResponse | None = None
        self._threads = [
            Thread(target=self._listen, name="logferry-events", daemon=True),
            Thread(target=self._ask, name="logferry-list", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop. The observer is not called after it returns."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()
        self._queue.put(("stop", "", {}, 0))
        for thread in self._threads:
            thread.join(timeout_s)

    def examine(self, container: str, *, after_s: float = 0.0) -> None:
        """Ask the engine about a container, now or after some seconds."""
        if after_s:
            self._queue.put(("later", container, {}, time.monotonic_ns() + int(after_s * 1e9)))
        else:
            self._queue.put(("examine", container, {}, 0))

    @staticmethod
    def _safely(does: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T | None:
        """Call a function; log an unexpected error, so that one container does not hide the others."""
        try:
            return does(*args, **more)
        except EngineUnavailableError:
            raise
        except Exception:
            log.exception("discovery_failed", about=str(args)[:300])
            return None

    # --- events ---

    def _listen(self) -> None:
        retries = Retries(_RETRY, random)
        told = False
        since = _begin(self._engine_time) if self._engine_time else 0
        while not self._stopping.is_set():
            try:
                since = since or _begin(self._connection.identity().time)
                self._stream, events = self._connection.events(_seconds(since))
                # Subscribed: whatever the list does not show comes as an event from now on.
                self._queue.put(("list", "", {}, 0))
                retries.reset()
                for event in events:
                    if event is None:
                        self._queue.put(("list", "", {}, 0))  # the list shows what the event did not
                        continue
                    # An event with a time far in the future must not hide all events before it.
                    taken = self._safely(self._take, event) or 0
                    since = max(since, taken if taken <= time.time_ns() + _AHEAD_NS else 0)
                told = False
            except EngineUnavailableError as error:
                log.debug("events_ended", reason=str(error))
                if not told:
                    # The list fails in the same way, and reports it in every job until it is over.
                    self._queue.put(("list", "", {}, 0))
                    told = True
            except Exception:
                # Keep listening, whatever the engine sent.
                log.exception("events_failed")
            if not self._stopping.is_set():
                self._stopping.wait(retries.next_delay())

    def _take(self, event: Mapping[str, Any]) -> int:
        actor = mapping(event.get("Actor"))
        action = text(event.get("Action") or event.get("status")).partition(":")[0]
        container = text(actor.get("ID") or event.get("id"))
        if event.get("Type", "container") != "container" or not container:
            return 0
        attributes = strings(actor.get("Attributes"))
        time_ns = instant(event.get("timeNano"))
        self._observer.note_event(action, container, attributes, time_ns)
        if action in _EXAMINED or action in {"die", "kill", "oom", "destroy"}:
            self._queue.put((action, container, attributes, time_ns))
        return time_ns

    # --- questions ---

    def _ask(self) -> None:
        retries = Retries(_RETRY, random)
        listed = time.monotonic()
        later: list[tuple[int, str]] = []
        while not self._stopping.is_set():
            left = self._list_interval_s - (time.monotonic() - listed)
            if later:
                left = min(left, (later[0][0] - time.monotonic_ns()) / 1e9)
            try:
                action, container, attributes, time_ns = self._queue.get(timeout=max(0.0, left))
            except Empty:
                action, container, attributes, time_ns = "again", "", {}, 0
                if later and later[0][0] <= time.monotonic_ns():
                    action, container = "examine", heappop(later)[1]
            if action == "stop":
                return
            if action == "later":
                heappush(later, (time_ns, container))
                continue
            while not self._stopping.is_set():
                try:
                    if action in {"list", "again"}:
                        self._list(again=action == "again")
                        listed = time.monotonic()
                    else:
                        self._safely(self._answer, action, container, attributes, time_ns)
                    retries.reset()
                    break
                except EngineUnavailableError as error:
                    self._observer.engine_problem(str(error))
                except Exception:
                    # An internal error must not end discovery: the question is asked again.
                    log.exception("discovery_failed", about=action)
                self._stopping.wait(retries.next_delay())

    def _list(self, *, again: bool) -> None:
        found = self._connection.containers()
        for summary in found:
            if self._stopping.is_set():
                return
            if self._safely(self._observer.should_inspect, summary, again=again):
                self._safely(self._examine, str(summary["Id"]), "list")
        self._observer.handle_list({str(summary["Id"]) for summary in found})
        self._observer.engine_problem(None)

    def _answer(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        if action in _EXAMINED or action == "examine":
            if not self._examine(container, action):
                self._observer.handle_event(action, container, attributes, time_ns)
        else:
            self._observer.handle_event(action, container, attributes, time_ns)

    def _examine(self, container: str, action: str) -> bool:
        try:
            found = self._connection.inspect(container)
        except ContainerGoneError:
            return False
        except EngineUnavailableError:
            raise
        except EngineError as error:
            log.warning("inspect_failed", container=container, reason=str(error))
            return False
        self._observer.handle_inspection(found, action=action)
        return True


def _begin(engine_time: str) -> int:
    """Return the time from which to request events; by our own clock where the engine's time cannot be parsed."""
    try:
        now = nanoseconds(engine_time)
    except ValueError:
        now = time.time_ns()
    return max(1, now - _OVERLAP_NS)


def _seconds(time_ns: int) -> str:
    """Return a time in the engine's form, exact to the nanosecond."""
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000:09d}"
