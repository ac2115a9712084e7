"""Test `edge/discovery.py`: no container is missed, whatever the engine's events omit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.engines import wait_for

from logferry_agent.edge import discovery
from logferry_agent.edge.discovery import Discovery
from logferry_agent.edge.docker_client import ContainerGoneError, DockerClient, EngineUnavailableError
from logferry_protocol.backoff import Backoff


class Stream:
    """An events stream that a test feeds."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[dict[str, Any] | None] = []
        self._ended = False

    def send(self, action: str, container: str, time: int = 1) -> None:
        with self._changed:
            self._events.append({"Action": action, "Actor": {"ID": container, "Attributes": {}}, "timeNano": time})
            self._changed.notify()

    def send_damaged(self) -> None:
        with self._changed:
            self._events.append(None)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._ended)
                if not self._events:
                    return
                event = self._events.pop(0)
            yield event


class Engine:
    """An engine's list, inspections and events."""

    def __init__(self) -> None:
        self.exist: list[str] = []
        self.streams: list[Stream] = []
        self.asked: list[str] = []
        self.held = threading.Event()
        """While it is cleared, inspections wait."""
        self.held.set()
        self.down = False
        self.listing: Callable[[], None] = lambda: None

    def identity(self) -> SimpleNamespace:
        return SimpleNamespace(time="2026-11-25T10:00:00Z")

    def events(self, since: str) -> tuple[Stream, Iterator[dict[str, Any] | None]]:
        if self.down:
            raise EngineUnavailableError("down")
        self.asked.append(f"events {since}")
        self.streams.append(Stream())
        return self.streams[-1], iter(self.streams[-1])

    def containers(self) -> list[dict[str, Any]]:
        if self.down:
            raise EngineUnavailableError("down")
        self.asked.append("list")
        found = [{"Id": container} for container in self.exist]
        self.listing()
        return found

    def inspect(self, container: str) -> dict[str, Any]:
        self.held.wait()
        if container not in self.exist:
            raise ContainerGoneError("gone")
        return {"Id": container}


@dataclass
class RecordingObserver:
    """An observer that records its calls."""

    noticed_: list[str] = field(default_factory=list)
    examined_: list[str] = field(default_factory=list)
    happened_: list[str] = field(default_factory=list)
    lists: list[set[str]] = field(default_factory=list)
    problems: list[str | None] = field(default_factory=list)
    fail_on: str = ""

    def note_event(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        self.noticed_.append(f"{action} {container}")

    def handle_inspection(self, found: Mapping[str, Any], *, action: str) -> None:
        if found["Id"] == self.fail_on:
            raise RuntimeError("nobody expected that")
        self.examined_.append(found["Id"])

    def handle_event(self, action: str, container: str, attributes: Mapping[str, str], time_ns: int) -> None:
        self.happened_.append(f"{action} {container}")

    def should_inspect(self, summary: Mapping[str, Any], *, again: bool) -> bool:
        return summary["Id"] not in self.examined_

    def handle_list(self, containers: set[str]) -> None:
        self.lists.append(containers)

    def engine_problem(self, problem: str | None) -> None:
        self.problems.append(problem)


@dataclass
class DiscoveryHarness:
    engine: Engine
    seen: RecordingObserver
    found: Discovery


@pytest.fixture(name="rig")
def _rig(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[DiscoveryHarness]:
    monkeypatch.setattr(discovery, "_RETRY", Backoff(0.01, 0.05))
    engine, seen = Engine(), RecordingObserver()
    rig = DiscoveryHarness(
        engine,
        seen,
        Discovery(
            cast(DockerClient, engine), seen, list_interval_s=request.param if hasattr(request, "param") else 0.05
        ),
    )
    rig.found.start()
    yield rig
    engine.held.set()
    rig.found.stop(5)


def listening(rig: DiscoveryHarness) -> None:
    wait_for(lambda: bool(rig.engine.streams and rig.seen.lists), "it listens and has listed")


def test_discovery_subscribes_before_it_lists(rig: DiscoveryHarness) -> None:
    """Docker case 20: a container created during the list comes as an event."""
    listening(rig)
    assert rig.engine.asked[0].startswith("events ")
    assert rig.engine.asked[1] == "list"


def test_events_are_read_during_slow_requests(rig: DiscoveryHarness) -> None:
    """Docker case 19: the engine drops events that are not read at once."""
    listening(rig)
    rig.engine.held.clear()
    rig.engine.exist.append("a")
    for _ in range(2_000):
        rig.engine.streams[-1].send("start", "a")
    wait_for(lambda: len(rig.seen.noticed_) == 2_000, "all were taken while the first one's question waits")
    assert rig.seen.examined_ == []


def test_container_with_dropped_events_is_found_by_the_next_list(rig: DiscoveryHarness) -> None:
    """Docker case 19: it never has an event, and the stream continues."""
    listening(rig)
    rig.engine.exist.append("silent")
    wait_for(lambda: "silent" in rig.seen.examined_, "the list showed it")
    rig.engine.exist.remove("silent")
    wait_for(lambda: rig.seen.lists[-1] == set(), "and that it is gone")
    assert len(rig.engine.streams) == 1


def test_stream_loss_leads_to_subscribing_and_listing_again(rig: DiscoveryHarness) -> None:
    """Docker cases 15 and 19: from the last event on, until it succeeds."""
    listening(rig)
    rig.engine.streams[-1].send("start", "a", time=1_796_000_000_123_456_789)
    wait_for(lambda: rig.seen.noticed_ == ["start a"], "it is heard")
    rig.engine.down = True
    rig.engine.streams[-1].close()
    wait_for(lambda: any(rig.seen.problems), "the trouble is told")
    rig.engine.exist.append("b")
    rig.engine.down = False
    wait_for(
        lambda: "b" in rig.seen.examined_ and rig.seen.problems[-1] is None, "it is found, and the trouble is over"
    )
    wait_for(lambda: len(rig.engine.streams) == 2, "it listens again")
    again = next(asked for asked in reversed(rig.engine.asked) if asked.startswith("events"))
    assert again == "events 1796000000.123456789", "exact to the nanosecond: case 26"


def test_unreadable_container_does_not_hide_the_others(rig: DiscoveryHarness) -> None:
    """The observer fails on one."""
    listening(rig)
    rig.seen.fail_on = "odd"
    rig.engine.exist += ["odd", "even"]
    rig.engine.streams[-1].send("start", "odd")
    wait_for(lambda: "even" in rig.seen.examined_, "the other one is examined")
    rig.engine.streams[-1].send("die", "even")
    wait_for(lambda: "die even" in rig.seen.happened_, "and what happens is told")


def test_container_is_inspected_again_after_a_delay(rig: DiscoveryHarness) -> None:
    """In the order of the times, whatever else is requested in between."""
    listening(rig)
    rig.engine.exist += ["a", "b", "c"]
    wait_for(lambda: rig.seen.examined_ == ["a", "b", "c"], "they are listed")
    rig.found.examine("a", after_s=0.2)
    rig.found.examine("b", after_s=0.1)
    rig.found.examine("c")
    wait_for(lambda: rig.seen.examined_ == ["a", "b", "c", "c", "b", "a"], "they are asked about")


SELDOM = pytest.mark.parametrize("rig", [3_600.0], indirect=True)
"""No periodic list is due."""


@SELDOM
def test_unreadable_event_is_repaired_by_a_list(rig: DiscoveryHarness) -> None:
    """The list shows whatever it was about; the stream continues."""
    listening(rig)
    rig.engine.exist.append("a")
    rig.engine.streams[-1].send_damaged()
    wait_for(lambda: "a" in rig.seen.examined_, "it is found")
    assert len(rig.engine.streams) == 1


@SELDOM
def test_unreachable_event_stream_is_reported_at_once(rig: DiscoveryHarness) -> None:
    """Not when the next list is due, a minute later; its recovery likewise."""
    listening(rig)
    rig.engine.down = True
    rig.engine.streams[-1].close()
    wait_for(lambda: any(rig.seen.problems), "the trouble is told")
    rig.engine.down = False
    wait_for(lambda: rig.seen.problems[-1] is None, "it is over")


@pytest.mark.parametrize("said", ["", "no time", "2026-13-45T00:00:00Z", "0000-01-01T00:00:00Z"])
def test_engine_without_the_time_is_followed_by_our_own_clock(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never asked about a time before 1970."""
    engine, seen = Engine(), RecordingObserver()
    engine.exist = ["a"]
    monkeypatch.setattr(engine, "identity", lambda: SimpleNamespace(time=said))
    found = Discovery(cast(DockerClient, engine), seen, list_interval_s=3_600, engine_time=said)
    found.start()
    wait_for(lambda: seen.examined_ == ["a"], "it is listed")
    assert not any(asked.startswith("events -") for asked in engine.asked)
    found.stop(5)


def test_discovery_survives_any_event_or_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd fields are omitted, a far future time does not hide earlier events, our own error does not end it."""
    monkeypatch.setattr(discovery, "_RETRY", Backoff(0.01, 0.05))
    engine, seen = Engine(), RecordingObserver()
    failing: list[Exception] = [TypeError("a list of lists"), RecursionError("deep")]
    engine.listing = lambda: fail_with(failing)
    found = Discovery(cast(DockerClient, engine), seen, list_interval_s=3_600)
    found.start()
    wait_for(lambda: bool(engine.streams and seen.lists), "it is listed at last")
    stream = engine.streams[0]
    with stream._changed:
        stream._events += [
            {"Action": 7, "Actor": ["x"], "timeNano": "soon"},
            {"Action": "start", "Actor": {"ID": "odd", "Attributes": [1]}, "timeNano": 2**90},
            {"Action": "start", "Actor": {"ID": "odd", "Attributes": {"name": {}}}, "timeNano": None},
        ]
    stream.send("start", "good", 7)
    wait_for(lambda: "start good" in seen.noticed_, "what came behind it is noticed")
    assert seen.noticed_.count("start odd") == 2
    stream.close()
    wait_for(lambda: len(engine.streams) > 1, "it subscribes again")
    asked_from = [float(asked.split()[1]) for asked in engine.asked if asked.startswith("events")]
    assert max(asked_from) < 4e9
    found.stop(5)


def fail_with(failing: list[Exception]) -> None:
    if failing:
        raise failing.pop()
