"""Test that every lifecycle of a real container is read to its end and reported."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.sources.conftest import RunningReaders, Watcher
from tests.support.engines import Engine, RunContainer
from tests.support.memory_sink import MemorySink
from tests.support.numbered_lines import numbers, program

from logferry_agent.core.batching.ports import Offer
from logferry_agent.core.container import oom
from logferry_agent.core.parsing.timestamps import nanoseconds
from logferry_protocol.events import Exited

pytestmark = pytest.mark.engine

SHORT = "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done; printf end"
SHORT_LINES = [f"line {number}" for number in range(1, 11)] + ["end"]


def short_lived(engine: Engine, watch: Watcher, prefix: str, source: str, serial: int, parallel: int) -> MemorySink:
    """Run containers that are removed as soon as they exit, in series and at once."""
    watched = watch(source)
    for number in range(serial):
        engine.run(SHORT, name=f"{prefix}s{number}", auto_remove=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: engine.run(SHORT, name=f"{prefix}p{number}", auto_remove=True), range(parallel)))
    sink = watched.sink
    sink.until(
        lambda: len(sink.logs) == serial + parallel and all(log.ended for log in sink.logs.values()), "all have ended"
    )
    return sink


def test_millisecond_containers_are_read_whole(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Docker cases 5 and 12, through files: every line, an unterminated one too, and the whole lifecycle."""
    sink = short_lived(engine, watch, prefix, "file", 3, 5)
    for log in sink.logs.values():
        assert log.lines() == SHORT_LINES
        assert log.names() == ["started", "exited"]
        assert log.jobs[-1].life.state == "removed"
        assert log.jobs[-1].life.exit_code == 0


def test_lines_missed_by_the_api_are_reported(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Through the API: no duplicates, and a job with missing lines says that some may be missing."""
    sink = short_lived(engine, watch, prefix, "api", 2, 3)
    for log in sink.logs.values():
        found = log.lines()
        assert found == [line for line in SHORT_LINES if line in found]
        assert found == SHORT_LINES or {"gap", "notice"} & set(log.names())
        assert [name for name in log.names() if name not in {"gap", "notice"}] == ["started", "exited"]


def test_restart_continues_the_same_job(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker case 13: nothing repeated, nothing missing, a restarted entry between the runs."""
    watched = watch(source)
    container = engine.run("echo up; sleep 0.1; printf cut; exit 3", name=prefix + "a")
    log = watched.ended(container.id)
    container.start()
    watched.sink.until(lambda: log.names().count("exited") == 2, "the second run is over")
    shown = [text if letter != "s" else "*" for letter, text in zip(log.streams, log.texts, strict=True)]
    assert shown == ["*", "up", "cut", "*", "*", "up", "cut", "*"]
    assert log.names() == ["started", "exited", "restarted", "exited"]
    assert [event.exit_code for event in log.events() if isinstance(event, Exited)] == [3, 3]


def test_restart_policy_is_followed(engine: Engine, watch: Watcher, prefix: str) -> None:
    """The engine makes three runs: every line, with alternating starts and exits.

    Runs that follow faster than the engine can be inspected may be reported as one.
    """
    watched = watch("file")
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    container = engine.run("echo run; exit 1", name=prefix + "a", restart_policy=policy)
    log = watched.log(container.id)
    watched.sink.until(
        lambda: log.lines() == ["run"] * 3 and log.names()[-1] == "exited" and log.jobs[-1].life.state == "exited",
        "three runs are over",
    )
    told = ["x" if name == "exited" else "s" for name in log.names()]
    assert "".join(told) == "sx" * (len(told) // 2)


def test_states_and_names_are_reported(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Pause, unpause, rename, kill."""
    watched = watch("file")
    container = engine.run("echo up; sleep 600", name=prefix + "a")
    log = watched.log(container.id)
    watched.sink.until(lambda: log.lines() == ["up"], "it is up")
    container.pause()
    watched.sink.until(lambda: log.jobs[-1].life.state == "paused", "it is paused")
    container.unpause()
    watched.sink.until(lambda: log.jobs[-1].life.state == "running", "it runs again")
    container.rename(prefix + "b")
    watched.sink.until(lambda: log.jobs[-1].container.name == prefix + "b", "it is renamed")
    container.kill()
    watched.ended(container.id)
    assert log.jobs[-1].life.exit_code == 137
    assert [event.exit_code for event in log.events() if isinstance(event, Exited)] == [137]


def test_out_of_memory_is_reported(engine: Engine, watch: Watcher, prefix: str) -> None:
    """The kernel killed it, and the agent says so if the engine does; 20.10 does not always on a busy machine."""
    watched = watch("file")
    said = False
    for number in range(5):
        container = engine.run("tail /dev/zero", name=f"{prefix}{number}", mem_limit="8m", memswap_limit="8m")
        log = watched.ended(container.id)
        container.reload()
        told = engine.client.api.events(
            since=1, until=int(time.time()) + 1, filters={"container": container.id, "event": "oom"}, decode=True
        )
        said = bool(container.attrs["State"]["OOMKilled"] or list(told))
        assert [(event.exit_code, event.oom) for event in log.events() if isinstance(event, Exited)] == [(137, said)]
        assert log.jobs[-1].life.oom is said
        if said:
            break
    assert said, "the engine never said it"


def test_exit_after_an_external_kill_is_reported(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Neither the engine nor lack of memory killed it; the exit code is still 137."""
    watched = watch("file", list_interval=3600.0)
    container = killed_externally(engine, watched, prefix)
    log = watched.ended(container.id)
    assert [(event.exit_code, event.oom) for event in log.events() if isinstance(event, Exited)] == [(137, False)]


@pytest.mark.parametrize("after", ["the word", "a request", "a new run", "its removal"])
def test_exit_is_delayed_no_longer_than_needed(
    engine: Engine, watch: Watcher, prefix: str, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """The engine may report out-of-memory later; the maximum delay is an hour here."""
    monkeypatch.setattr(oom, "WAIT_S", 3600.0)
    watched = watch("file")
    container = killed_externally(engine, watched, prefix)
    log = watched.log(container.id)
    # This event must not precede the engine's own start event, which resets what was known before.
    watched.sink.until(lambda: container.id in watched.readers.tracker.ended, "the engine's word of its end is heard")
    if after == "the word":
        watched.readers.handle_event("oom", container.id, {}, time.time_ns())
    elif after == "a request":
        watched.readers.handle_event("kill", container.id, {}, time.time_ns())
    elif after == "a new run":
        container.start()
    else:
        container.remove()
    further = ["restarted"] if after == "a new run" else []
    watched.sink.until(lambda: log.names() == ["started", "exited", *further], "the end is told")
    ends = [(event.exit_code, event.oom) for event in log.events() if isinstance(event, Exited)]
    assert ends == [(137, after == "the word")]


def killed_externally(engine: Engine, watched: RunningReaders, prefix: str) -> RunContainer:
    """Run a container whose process the host kills after its line was read."""
    container = engine.run("echo up; sleep 600", name=prefix + "a")
    log = watched.log(container.id)
    watched.sink.until(lambda: log.lines() == ["up"], "it is up")
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    return container


def test_removed_container_with_unread_logs_is_read(engine: Engine, watch: Watcher, prefix: str) -> None:
    """The sink accepted nothing while it lived."""
    sink = MemorySink()
    sink.answer = lambda _job, _chunk: Offer.FULL
    watched = watch("file", sink=sink)
    container = engine.run("seq 1 5000", name=prefix + "a")
    container.wait()
    container.remove()
    log = watched.log(container.id)
    assert log.texts == []
    sink.answer = lambda _job, _chunk: Offer.TAKEN
    sink.until(lambda: log.ended, "it has ended")
    assert log.lines() == [str(number) for number in range(1, 5_001)]
    assert log.names() == ["started", "exited"]


def test_labels_select_containers(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Opt-in and opt-out; logs of excluded containers are not held open."""
    watched = watch("file", discover="labelled")
    silent = engine.run("echo no", name=prefix + "a")
    loud = engine.run("echo yes", name=prefix + "b", labels={"logferry.enable": "true", "logferry.owner": "team-a"})
    log = watched.ended(loud.id)
    assert log.lines() == ["yes"]
    assert log.jobs[-1].container.owner == "team-a"
    assert silent.id not in watched.sink.logs


def test_many_concurrent_starts_are_all_read(engine: Engine, watch: Watcher, prefix: str) -> None:
    """Docker case 20, short form: 8 at once, some started before the reader."""
    first = [engine.run(f"echo {number}", name=f"{prefix}e{number}") for number in range(2)]
    watched = watch("file", first_seen=0, start_at="beginning")
    with ThreadPoolExecutor(8) as pool:
        rest = list(pool.map(lambda number: engine.run(f"echo {number}", name=f"{prefix}{number}"), range(8)))
    for number, container in enumerate(first):
        assert watched.ended(container.id).lines() == [str(number)]
    for number, container in enumerate(rest):
        assert watched.ended(container.id).lines() == [str(number)]


def test_stalled_reader_never_blocks_the_container(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker case 31: the agent does not attach.

    The sink accepts nothing while the container writes megabytes and exits; afterwards every line is there.
    """
    sink = MemorySink()
    sink.answer = lambda _job, _chunk: Offer.FULL
    watched = watch(source, sink=sink)
    container = engine.run_command(program(60_000), name=prefix + "a")
    assert container.wait(timeout=60)["StatusCode"] == 0
    log = watched.log(container.id)
    assert log.lines() == []
    sink.answer = lambda _job, _chunk: Offer.TAKEN
    watched.ended(container.id)
    assert numbers(log) == list(range(1, 60_001))


def test_start_at_is_exact_to_the_nanosecond(engine: Engine, watch: Watcher, prefix: str, source: str) -> None:
    """Docker case 26: a container older than the agent is read from `start_at` on, to the line."""
    container = engine.run("i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done", name=prefix + "a")
    container.wait()
    stamped = [line.split(" ") for line in container.logs(timestamps=True).decode().splitlines()]
    since = nanoseconds(stamped[20][0])
    watched = watch(source, first_seen=time.time_ns(), start_at="beginning", since=since)
    assert watched.ended(container.id).lines() == [number for _, number in stamped[20:]]
