"""Test `edge/file_loop.py`: one log never stops the others, and a new file is opened before anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.support.docker_log import START, DockerLogWriter, JsonFile
from tests.support.memory_sink import MemorySink

from logferry_agent.core.batching import read_throttle
from logferry_agent.core.batching.entries import Chunk, PreencodedBatch
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.container.metadata import ContainerMetadata, from_event
from logferry_agent.edge import file_loop
from logferry_agent.edge.container_reader import ContainerReader
from logferry_agent.edge.file_loop import FileLoop
from logferry_agent.edge.file_source import FileSource

GOOD, BAD, NEW = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture(name="sink")
def _sink() -> MemorySink:
    return MemorySink()


@pytest.fixture(name="loop")
def _loop(tmp_path: Path, sink: MemorySink) -> Iterator[FileLoop]:
    loop = FileLoop(tmp_path, sink, max_deleted_bytes=1 << 30)
    loop.start()
    yield loop
    loop.stop(5)


def log_of(folder: Path, container: str) -> JsonFile:
    return JsonFile(folder / container / f"{container}-json.log")


def has_lines(sink: MemorySink, count: int) -> bool:
    return len(sink.logs[GOOD].lines()) == count


def add(
    loop: FileLoop, sink: MemorySink, folder: Path, container: str, *, read: Callable[..., None]
) -> ContainerReader:
    """Return a running container's reader; `read` is called before each of its reads."""

    def source(_: ContainerMetadata, sequencer: EntrySequencer) -> FileSource:
        made = loop.source_for(container, folder / container / f"{container}-json.log", sequencer, since=0, max_size=0)
        honest = made.read

        def reads(limit_bytes: int) -> Chunk | PreencodedBatch | None:
            read()
            return honest(limit_bytes)

        made.read = reads  # type: ignore[method-assign]
        return made

    running = replace(from_event(container, {}, "h", START), run_state=RunState(running=True, started=START))
    reading = ContainerReader(running, source, fresh=True)
    reading.move(sink.job_appeared(reading.job))
    loop.add(reading)
    return reading


@pytest.mark.parametrize("error", [OSError(24, "too many open files"), RuntimeError("a bug")], ids=["system", "ours"])
def test_failing_log_is_retried_and_does_not_stop_the_others(
    loop: FileLoop, sink: MemorySink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The problem is reported; afterwards the log is read whole, without repeats."""
    monkeypatch.setattr(file_loop, "_SAFETY_S", 0.05)
    copier = DockerLogWriter()
    for container in (GOOD, BAD):
        log_of(tmp_path, container).write(copier.write("o", b"one\ntwo\n"))
    failing = [error] * 3

    def fail() -> None:
        if failing:
            raise failing.pop()

    add(loop, sink, tmp_path, BAD, read=fail)
    add(loop, sink, tmp_path, GOOD, read=lambda: None)
    sink.until(lambda: sink.logs[GOOD].lines() == ["one", "two"], "the good one is read")
    sink.until(lambda: sink.logs[BAD].lines() == ["one", "two"], "the other is read at last")
    assert sink.logs[BAD].problems
    assert sink.logs[BAD].names() == ["started"]


def test_log_read_to_its_end_pauses_and_new_ones_are_opened_meanwhile(
    loop: FileLoop, sink: MemorySink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy log is not read line by line; one that comes and goes during the pause is read whole."""
    monkeypatch.setattr(read_throttle, "PAUSE_S", 3_600.0)
    log, copier = log_of(tmp_path, GOOD), DockerLogWriter()
    log.write(copier.write("o", b"one\n"))
    add(loop, sink, tmp_path, GOOD, read=lambda: None)
    sink.until(lambda: sink.logs[GOOD].lines() == ["one"] and GOOD in loop._resting, "it rests")
    log.write(copier.write("o", b"two\n"))
    short = log_of(tmp_path, NEW)
    short.write(copier.write("o", b"short\n"))
    sink.until(lambda: NEW in loop._folders and loop._folders[NEW].source.unread > 0, "the new one is held")
    short.path.unlink()
    add(loop, sink, tmp_path, NEW, read=lambda: None)
    sink.until(lambda: NEW in sink.logs and "short" in sink.logs[NEW].lines(), "the new one is read")
    assert sink.logs[GOOD].lines() == ["one"]
    monkeypatch.setattr(read_throttle, "PAUSE_S", 0.0)
    loop._resting.clear()
    loop._watcher.wake()
    sink.until(lambda: sink.logs[GOOD].lines() == ["one", "two"], "it is read on")


def test_large_read_is_not_followed_by_a_pause(
    loop: FileLoop, sink: MemorySink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a burst, nothing waits."""
    monkeypatch.setattr(read_throttle, "PAUSE_S", 3_600.0)
    monkeypatch.setattr(read_throttle, "BURST_S", 3_600.0)
    log, copier = log_of(tmp_path, GOOD), DockerLogWriter()
    log.write(copier.write("o", b"one\n" * 2_000))
    add(loop, sink, tmp_path, GOOD, read=lambda: None)
    for count in range(2_001, 2_004):
        log.write(copier.write("o", b"more\n"))
        sink.until(partial(has_lines, sink, count), "it is read on")


def test_new_log_is_opened_between_two_steps_of_others(loop: FileLoop, sink: MemorySink, tmp_path: Path) -> None:
    """It appears while one log is read, and is gone when the next one has been."""
    loop.expect(NEW)
    turns: list[str] = []

    def come_and_go() -> None:
        if not turns:
            log = log_of(tmp_path, NEW)
            log.write(DockerLogWriter().write("o", b"short\n"))
            turns.append("came")
        elif turns == ["came"]:
            (tmp_path / NEW / f"{NEW}-json.log").unlink()
            turns.append("went")

    (tmp_path / NEW).mkdir()
    for container in (GOOD, BAD):
        log_of(tmp_path, container)
        add(loop, sink, tmp_path, container, read=come_and_go)
    sink.until(lambda: turns == ["came", "went"], "both were read")
    add(loop, sink, tmp_path, NEW, read=lambda: None)
    sink.until(lambda: sink.logs[NEW].lines() == ["short"], "the new one was held")


def test_file_that_came_and_went_between_two_checks_is_missed(loop: FileLoop, sink: MemorySink, tmp_path: Path) -> None:
    """With `max-file=1` engines from 23.0 on remove the log and begin another under the same name.

    The kernel merges two equal consecutive events, so new files of one name are counted by the events between them.
    """
    copier = DockerLogWriter()
    log = log_of(tmp_path, GOOD)
    log.write(copier.write("o", b"one\n"))
    lines = [b"two\n", b"three\n"]

    def rotate() -> None:
        while lines and sink.logs[GOOD].lines() == ["one"]:
            log.rotate()
            log.write(copier.write("o", lines.pop(0)))

    add(loop, sink, tmp_path, GOOD, read=rotate)
    sink.until(lambda: sink.logs[GOOD].lines() == ["one", "three"], "the last file is read")
    assert sink.logs[GOOD].names() == ["started", "gap"]


def test_container_with_an_impossible_log_path_does_not_stop_the_others(
    loop: FileLoop, sink: MemorySink, tmp_path: Path
) -> None:
    """No path has a NUL; an engine's answer may."""
    loop.expect("nowhere\0")
    log_of(tmp_path, GOOD).write(DockerLogWriter().write("o", b"one\n"))
    add(loop, sink, tmp_path, GOOD, read=lambda: None)
    sink.until(lambda: sink.logs[GOOD].lines() == ["one"], "the good one is read")


def test_error_in_the_loop_itself_does_not_stop_all_logs(
    loop: FileLoop, sink: MemorySink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any error: what was reported meanwhile is searched again."""
    monkeypatch.setattr(file_loop, "_FAILED_S", 0.01)
    honest, failing = loop._work, [RuntimeError("a bug")] * 3

    def work() -> None:
        if failing:
            raise failing.pop()
        honest()

    monkeypatch.setattr(loop, "_work", work)
    log_of(tmp_path, GOOD).write(DockerLogWriter().write("o", b"one\n"))
    add(loop, sink, tmp_path, GOOD, read=lambda: None)
    sink.until(lambda: sink.logs[GOOD].lines() == ["one"], "it is read at last")
