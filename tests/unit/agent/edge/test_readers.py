"""Test `edge/readers.py`: which containers are read, what is reported of the others, and which source decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.fake_engine import FakeEngine
from tests.support.memory_sink import Log, MemorySink

from logferry_agent.core.batching.ports import Job
from logferry_agent.edge import discovery
from logferry_agent.edge.docker_client import DockerClient, UnsupportedEngineError
from logferry_agent.edge.readers import EngineReader, ReaderSettings, build_reader
from logferry_protocol.backoff import Backoff
from logferry_protocol.events import Exited, Notice

A, B = "a" * 64, "b" * 64
IMAGE_ID = "sha256:" + "36d6" * 16

Reader = Callable[..., tuple[EngineReader, MemorySink]]


@pytest.fixture(name="engine")
def _engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(name="read")
def _read(engine: FakeEngine) -> Iterator[Reader]:
    """Start reading the engine through its API with some settings, once it is listed."""
    begun: list[EngineReader] = []

    def begin(sink: MemorySink | None = None, **settings: Any) -> tuple[EngineReader, MemorySink]:
        sink = sink or MemorySink()
        readers = build_reader(
            ReaderSettings(source="api", start_at="beginning", **{"list_interval": 600.0, **settings}),
            cast(DockerClient, engine),
        )
        begun.append(readers)
        readers.start(sink)
        sink.until(lambda: readers.ready, "the first list is taken")
        return readers, sink

    yield begin
    for readers in begun:
        readers.stop()


def line_comes(sink: MemorySink, container: str, line: str) -> Log:
    sink.until(lambda: container in sink.logs and line in sink.logs[container].lines(), f"{line!r} comes")
    return sink.logs[container]


def left_out(log: Log) -> list[str]:
    return [event.detail for event in log.events() if isinstance(event, Notice) and event.code == "left_out"]


def continued(sink: MemorySink) -> MemorySink:
    """Return the sink of the agent's next run, over the same spool."""
    again = MemorySink({job: log.cursor for job, log in sink.logs.items() if log.cursor is not None})
    again.jobs_known = [log.jobs[-1] for log in sink.logs.values() if not log.ended]
    return again


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({"include_names": ["shop-*"]}, {"Names": ["/aa-web/database", "/shop-db"]}),
        ({"include_names": ["shop-*"]}, {"Names": ["/shop-db", "/aa-web/database"]}),
        ({"include_names": ["shop-*"]}, {"Names": None}),
        ({"include_images": ["shop/api"]}, {"Image": IMAGE_ID}),
        ({"include_images": ["shop/api"]}, {"Image": IMAGE_ID.removeprefix("sha256:")[:12]}),
        ({"include_images": [IMAGE_ID]}, {"Image": "shop/api"}),
        ({"include_labels": ["tier=front"]}, {"Labels": None}),
    ],
)
def test_inspection_overrides_the_list_for_selection(
    engine: FakeEngine, read: Reader, settings: dict[str, Any], listed: dict[str, Any]
) -> None:
    """The list gives links' aliases among the names, and an image's id once its tag was moved."""
    engine.run(A, "shop-db", image="shop/api:3", image_id=IMAGE_ID, labels={"tier": "front"}, listed=listed)
    engine.write(A, "ready")
    _, sink = read(**settings)
    line_comes(sink, A, "ready")


def test_label_without_effect_is_a_notice_in_the_job(engine: FakeEngine, read: Reader) -> None:
    """Once, also over restarts; its lines arrive all the same."""
    labels = {"logferry.rate-limit": "fast", "logferry.enable": "perhaps", "logferry.redact": "aws"}
    engine.run(A, "web", labels=labels)
    engine.write(A, "one")
    readers, sink = read()
    log = line_comes(sink, A, "one")
    told = [event.detail for event in log.events() if isinstance(event, Notice)]
    assert [each.split("=")[0] for each in told] == ["the label logferry.enable", "the label logferry.rate-limit"]
    readers.stop()
    engine.write(A, "two")
    _, again = read(continued(sink))
    log = line_comes(again, A, "two")
    assert not [event for event in log.events() if isinstance(event, Notice)]


def test_notices_of_a_job_do_not_quote_hidden_values(engine: FakeEngine, read: Reader) -> None:
    """Also where they cut it: the sink has them before any line is redacted."""
    token = "ghp_" + "a1" * 18
    labels = {token: "x" * 300, "logferry.rate-limit": "x" * 55 + token, "logferry.redact": "github"}
    engine.run(A, "web", labels=labels)
    engine.write(A, "one")
    _, sink = read()
    notices = [event for event in line_comes(sink, A, "one").events() if isinstance(event, Notice)]
    assert [notice.code for notice in notices] == ["labels_left_out", "label"]
    assert not any("ghp_" in notice.detail for notice in notices)


def test_label_that_the_operator_forbids_does_not_count(engine: FakeEngine, read: Reader) -> None:
    engine.run(A, "web", labels={"logferry.enable": "false", "logferry.owner": "team-b"})
    engine.write(A, "one")
    _, sink = read(allow_labels=["redact"])
    log = line_comes(sink, A, "one")
    assert log.jobs[-1].container.owner is None
    assert len([event for event in log.events() if isinstance(event, Notice) and "allow_labels" in event.detail]) == 2


def test_container_excluded_by_a_moved_image_is_not_read(engine: FakeEngine, read: Reader) -> None:
    """The list shows the image's id for it."""
    engine.run(A, "web", image="shop/api", listed={"Image": IMAGE_ID})
    engine.run(B, "db")
    engine.write(B, "up")
    _, sink = read(exclude_images=["shop/api"])
    line_comes(sink, B, "up")
    assert A not in sink.logs


def test_excluded_container_is_inspected_once_a_name(engine: FakeEngine, read: Reader) -> None:
    """However often it is listed: an engine may have thousands."""
    engine.run(A, "web", listed={"Names": ["/aa/alias", "/web"]})
    readers, sink = read(include_names=["db*"], list_interval=0.01)
    found: list[set[str]] = []
    honest = readers.handle_list

    def listed(containers: set[str]) -> None:
        found.append(containers)
        honest(containers)

    readers.handle_list = listed  # type: ignore[method-assign]
    sink.until(lambda: len(found) >= 5, "it is listed five times more")
    assert engine.inspected == [A]
    engine.found[A]["Name"] = "/db"
    engine.listed[A] = {}
    engine.write(A, "up")
    line_comes(sink, A, "up")


def test_container_excluded_by_a_new_setting_ends_with_a_notice(engine: FakeEngine, read: Reader) -> None:
    """Its job follows the container to its end, without another entry, also over restarts of the agent."""
    engine.run(A, "web")
    engine.write(A, "one")
    readers, sink = read()
    line_comes(sink, A, "one")
    readers.stop()

    engine.write(A, "two")
    readers, second = read(continued(sink), exclude_names=["w*"])
    second.until(lambda: bool(left_out(second.logs[A])), "it says so")
    log = second.logs[A]
    assert log.names() == ["notice"]
    assert "exclude_names" in left_out(log)[0]
    assert log.lines() == []
    assert log.jobs[-1].life.state == "running"
    assert log.jobs[-1].life.source == "none"
    assert "no longer read" in (log.jobs[-1].life.problem or "")
    readers.stop()

    readers, third = read(continued(second), exclude_names=["w*"])
    engine.exit(A, 3)
    engine.send("die", A, exitCode="3")
    third.until(lambda: third.logs[A].jobs[-1].life.state == "exited", "its end is known")
    engine.remove(A)
    engine.send("destroy", A)
    third.until(lambda: third.logs[A].ended, "the job ends")
    assert third.logs[A].jobs[-1].life.state == "removed"
    assert third.logs[A].texts == []


def test_container_removed_while_excluded_leaves_no_gap(engine: FakeEngine, read: Reader) -> None:
    """Nothing of it was to be read: the job's state ends, and no entry comes."""
    engine.run(A, "web")
    engine.write(A, "one")
    readers, sink = read()
    line_comes(sink, A, "one")
    readers.stop()
    readers, second = read(continued(sink), exclude_names=["w*"])
    second.until(lambda: bool(left_out(second.logs[A])), "it says so")
    readers.stop()
    engine.remove(A)
    _, third = read(continued(second), exclude_names=["w*"])
    third.until(lambda: third.logs[A].ended, "the job ends")
    assert third.logs[A].jobs[-1].life.state == "removed"
    assert third.logs[A].texts == []


def test_renamed_container_resumes_where_it_was_excluded(engine: FakeEngine, read: Reader) -> None:
    """An excluded name ends the reading at once; the old name resumes it, and no line is lost."""
    engine.run(A, "web")
    engine.write(A, "one")
    _, sink = read(include_names=["web*"])
    log = line_comes(sink, A, "one")
    engine.found[A]["Name"] = "/other"
    engine.send("rename", A, name="web-forged", oldName="/web")
    sink.until(lambda: bool(left_out(log)), "it says so")
    assert "include_names" in left_out(log)[0]
    engine.write(A, "two")
    engine.found[A]["Name"] = "/web-2"
    engine.send("rename", A, name="web-2", oldName="/other")
    line_comes(sink, A, "two")
    assert log.lines() == ["one", "two"]
    assert log.names() == ["started", "notice"]
    assert log.jobs[-1].life.problem is None
    engine.found[A]["Name"] = "/other"
    engine.send("rename", A)
    sink.until(lambda: len(left_out(log)) == 2, "it says so again")


def test_container_that_was_never_read_gets_no_job(engine: FakeEngine, read: Reader) -> None:
    """Not even one that says that it is excluded."""
    engine.run(A, "web")
    engine.run(B, "db")
    engine.write(B, "up")
    _, sink = read(exclude_names=["web"])
    line_comes(sink, B, "up")
    assert list(sink.logs) == [B]


@pytest.mark.parametrize("label", ["0", "", "9", "x", "²"])
def test_label_named_exit_code_does_not_forge_the_exit_code(engine: FakeEngine, read: Reader, label: str) -> None:
    """The engine writes a container's labels over its own attributes of an event (moby 20879)."""
    engine.run(A, "web", labels={"exitCode": label, "signal": "9", "oldName": "x"})
    _, sink = read()
    sink.until(lambda: A in sink.logs, "it is read")
    engine.exit(A, 3)
    engine.send("die", A, exitCode=label, name="web", image="shop/web:3")
    sink.until(lambda: "exited" in sink.logs[A].names(), "its end is told")
    assert [event.exit_code for event in sink.logs[A].events() if isinstance(event, Exited)] == [3]
    assert sink.logs[A].jobs[-1].container.labels["exitCode"] == label


def test_exit_code_of_a_missing_container_is_unknown_rather_than_forged(engine: FakeEngine, read: Reader) -> None:
    """Nobody can be asked any more."""
    engine.run(A, "web", labels={"exitCode": "0"})
    _, sink = read()
    sink.until(lambda: A in sink.logs, "it is read")
    engine.remove(A)
    engine.send("die", A, exitCode="0")
    engine.send("destroy", A, exitCode="0")
    sink.until(lambda: sink.logs[A].ended, "the job ends")
    (end,) = [event for event in sink.logs[A].events() if isinstance(event, Exited)]
    assert (end.exit_code, end.removed) == (None, True)


def test_job_begins_with_notices_for_its_reader(engine: FakeEngine, read: Reader) -> None:
    """Once, whatever the agent does afterwards; also in a job that an older agent began."""
    labels = {f"k{number:03}": "v" * 50 for number in range(90)}
    engine.run(A, "web", labels=labels, options={"mode": "non-blocking", "max-buffer-size": "4k"})
    engine.write(A, "one")
    readers, sink = read()
    log = line_comes(sink, A, "one")
    assert [event.code for event in log.events() if isinstance(event, Notice)] == ["labels_left_out", "non_blocking"]
    assert log.streams[:2] == ["s", "s"]
    readers.stop()

    engine.write(A, "two")
    readers, second = read(continued(sink))
    assert line_comes(second, A, "two").names() == []
    readers.stop()

    before = MemorySink({A: (second.logs[A].cursor or "").replace("|n=b", "")})
    before.jobs_known = [Job(A, second.logs[A].jobs[-1].container, second.logs[A].jobs[-1].life)]
    engine.write(A, "three")
    _, third = read(before)
    assert line_comes(third, A, "three").names() == ["notice", "notice"]


def test_podman_replacing_the_engine_is_reported_in_every_job(
    engine: FakeEngine, read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of its answers counts: no container is gone, and no line is missing, when the engine is back."""
    monkeypatch.setattr(discovery, "_RETRY", Backoff(0.01, 0.05))
    engine.run(A, "web")
    engine.write(A, "one")
    _, sink = read()
    log = line_comes(sink, A, "one")
    engine.refusal = UnsupportedEngineError("Podman 4.3.1")
    engine.cut()
    sink.until(lambda: any("Podman 4.3.1" in problem for problem in log.problems), "it is told")
    engine.refusal = None
    engine.write(A, "two")
    line_comes(sink, A, "two")
    assert log.names() == ["started"]
    assert log.jobs[-1].life.state == "running"


@pytest.mark.parametrize("version", ["", "dev", "master-dockerproject-2026", "²"])
def test_engine_with_a_non_numeric_version_is_read(engine: FakeEngine, read: Reader, version: str) -> None:
    """One that somebody built by hand says `dev`."""
    told = SimpleNamespace(**{**vars(engine.identity()), "version": version})
    engine.identity = lambda: told  # type: ignore[method-assign]
    engine.run(A, "web")
    engine.write(A, "hello")
    _, sink = read()
    line_comes(sink, A, "hello")
